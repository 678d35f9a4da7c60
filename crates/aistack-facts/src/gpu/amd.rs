//! AMD's cards: chips, their gfx targets, and which of them `ROCm` serves.

use aistack_machine::Backend;

/// The targets that the engines' own `ROCm` images of 2026 have code for: those
/// that both llama.cpp's (`.devops/rocm.Dockerfile`) and ollama's are built for,
/// and gfx950, which is in AMD's own support matrix and has no graphics for Vulkan.
///
/// Out are gfx900 and gfx906, which the images have dropped, and what only one
/// of them has (gfx1010, gfx1012, gfx1103).
const ROCM_TARGETS: [&str; 12] = [
    "gfx908", "gfx90a", "gfx942", "gfx950", "gfx1030", "gfx1100", "gfx1101", "gfx1102", "gfx1150",
    "gfx1151", "gfx1200", "gfx1201",
];

/// AMD's ids are not ordered, but the graphics of its processors lie in a few
/// ranges, and the cards since Evergreen in others.
pub(super) fn integrated(id: u16) -> Option<bool> {
    match id {
        // Kaveri; RS780 to Stoney Ridge.
        0x1304..=0x131d | 0x9600..=0x99ff
        // Raphael's and Granite Ridge's small ones, consoles' chips sold as boards.
        | 0x164e | 0x13c0 | 0x13db | 0x13fb | 0x13fe
        // Raven, Picasso, Renoir, Lucienne, Cezanne, Barcelo, Mendocino, Van Gogh, Sephiroth.
        | 0x15dd | 0x15d8 | 0x1636 | 0x164c | 0x1638 | 0x15e7 | 0x1506 | 0x163f | 0x1435
        // Rembrandt, Phoenix, Hawk Point, Krackan, Strix, Strix Halo.
        | 0x164d | 0x1681 | 0x15bf | 0x15c8 | 0x164f | 0x1900 | 0x1901 | 0x1902 | 0x1114
        | 0x150e | 0x1586
        // MI300A: its memory is the processor's.
        | 0x74a0 => Some(true),
        0x6600..=0x6fff | 0x7300..=0x75ff => Some(false),
        _ => None,
    }
}

/// Name and target of the chip that has a device id. The chips' names are those
/// of the PCI ID project, their targets those of LLVM's "User Guide for AMDGPU
/// Backend". Chips of which two targets were sold under one id are left out.
pub(super) fn chip(id: u16) -> Option<(&'static str, &'static str)> {
    Some(match id {
        0x67a0..=0x67be => ("Hawaii", "gfx701"),
        0x6920..=0x693f => ("Tonga", "gfx802"),
        0x7300 => ("Fiji", "gfx803"),
        0x67c0..=0x67ff | 0x694c..=0x694f | 0x6980..=0x699f | 0x6fdf => ("Polaris", "gfx803"),
        0x6860..=0x687f => ("Vega 10", "gfx900"),
        0x69a0..=0x69af => ("Vega 12", "gfx904"),
        0x66a0..=0x66af => ("Vega 20", "gfx906"),
        0x738c | 0x738e => ("Instinct MI100", "gfx908"),
        0x7408 | 0x740c | 0x740f => ("Instinct MI200 series", "gfx90a"),
        0x74a0..=0x74bf => ("Instinct MI300 series", "gfx942"),
        0x75a0..=0x75af => ("Instinct MI350 series", "gfx950"),
        0x7310..=0x731f => ("Navi 10", "gfx1010"),
        0x7360 | 0x7362 => ("Navi 12", "gfx1011"),
        0x7340..=0x734f => ("Navi 14", "gfx1012"),
        0x73a0..=0x73bf => ("Navi 21", "gfx1030"),
        0x73c0..=0x73df => ("Navi 22", "gfx1031"),
        0x73e0..=0x73ef | 0x73ff => ("Navi 23", "gfx1032"),
        0x7420..=0x743f => ("Navi 24", "gfx1034"),
        0x7448..=0x745f => ("Navi 31", "gfx1100"),
        0x7460..=0x747f => ("Navi 32", "gfx1101"),
        0x7480..=0x749f | 0x73f0 => ("Navi 33", "gfx1102"),
        0x7590..=0x759f => ("Navi 44", "gfx1200"),
        0x7550..=0x755f => ("Navi 48", "gfx1201"),
        0x15dd => ("Raven Ridge", "gfx902"),
        0x1636 => ("Renoir", "gfx90c"),
        0x164c => ("Lucienne", "gfx90c"),
        0x1638 => ("Cezanne", "gfx90c"),
        0x15e7 => ("Barcelo", "gfx90c"),
        0x163f | 0x1435 => ("Van Gogh", "gfx1033"),
        0x164d | 0x1681 => ("Rembrandt", "gfx1035"),
        0x164e => ("Raphael", "gfx1036"),
        0x13c0 => ("Granite Ridge", "gfx1036"),
        0x1506 => ("Mendocino", "gfx1037"),
        0x15bf | 0x15c8 | 0x164f => ("Phoenix", "gfx1103"),
        0x1900 | 0x1901 => ("Hawk Point", "gfx1103"),
        0x150e => ("Strix", "gfx1150"),
        0x1586 => ("Strix Halo", "gfx1151"),
        0x1114 => ("Krackan", "gfx1152"),
        _ => return None,
    })
}

/// What KFD's `gfx_target_version` stands for: `110501` is major 11, minor 5,
/// stepping 1, that is `gfx1151`; `90010` is `gfx90a`.
pub(super) fn target_of_version(version: u32) -> Option<String> {
    let (major, minor, stepping) = (version / 10_000, version / 100 % 100, version % 100);
    (major > 0 && major < 100 && minor < 16 && stepping < 16)
        .then(|| format!("gfx{major}{minor:x}{stepping:x}"))
}

/// The card in words: chip and target, as far as they are known.
fn words(id: u16, target: Option<&str>) -> String {
    match (chip(id), target) {
        (Some((name, _)), Some(target)) => format!("AMD {name} ({target})"),
        (None, Some(target)) => format!("AMD GPU ({target})"),
        _ => "AMD GPU of no known chip".to_owned(),
    }
}

pub(super) fn backend(
    id: u16,
    target: Option<&str>,
    driver: Option<&str>,
    integrated: Option<bool>,
) -> (Backend, String) {
    let bound = match driver {
        Some("amdgpu") => String::new(),
        // The driver of the cards before GCN, for which there is no Vulkan.
        Some("radeon") => {
            let reason = "AMD card with the radeon driver, which has no Vulkan (cards from 2012 on may run with amdgpu)";
            return (Backend::Cpu, reason.to_owned());
        }
        None => ": needs the amdgpu driver, now no driver is bound".to_owned(),
        Some(other) => format!(": needs the amdgpu driver, now {other} is bound"),
    };
    let card = words(id, target);
    if target.is_some_and(|target| ROCM_TARGETS.contains(&target)) {
        return (Backend::Rocm, format!("{card}, which ROCm supports{bound}"));
    }
    let why = match (target, integrated) {
        (Some("gfx1031" | "gfx1032" | "gfx1034"), _) => {
            "which the engines' ROCm images have no code for: Vulkan (ROCm may run it as gfx1030, \
             with services.aiStack.gpu.hsaOverrideGfxVersion = \"10.3.0\" and backend = \"rocm\")"
        }
        (Some("gfx1103" | "gfx1152"), _) => {
            "which not all of the engines' ROCm images have code for: Vulkan"
        }
        (Some("gfx900" | "gfx906"), _) => "which the engines' ROCm images have dropped: Vulkan",
        (Some(_), _) => "which the engines' ROCm images have no code for: Vulkan",
        (None, Some(true)) => "integrated: Vulkan needs no ROCm build for it",
        (None, _) => "not surely supported by ROCm: Vulkan",
    };
    (Backend::Vulkan, format!("{card}, {why}{bound}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_the_kernel_are_targets() {
        for (version, target) in [
            (90_010, Some("gfx90a")),
            (90_402, Some("gfx942")),
            (90_500, Some("gfx950")),
            (90_012, Some("gfx90c")),
            (100_300, Some("gfx1030")),
            (110_000, Some("gfx1100")),
            (110_501, Some("gfx1151")),
            (120_001, Some("gfx1201")),
            (0, None),
            (99, None),
            (91_600, None),
            (90_099, None),
            (u32::MAX, None),
        ] {
            assert_eq!(target_of_version(version).as_deref(), target, "{version}");
        }
    }

    #[test]
    fn what_rocm_does_not_serve_says_why() {
        let reason = |id| backend(id, chip(id).map(|(_, t)| t), Some("amdgpu"), None);
        let (rx6700, text) = reason(0x73df);
        assert_eq!(rx6700, Backend::Vulkan);
        assert_eq!(
            text,
            "AMD Navi 22 (gfx1031), which the engines' ROCm images have no code for: Vulkan (ROCm \
             may run it as gfx1030, with services.aiStack.gpu.hsaOverrideGfxVersion = \"10.3.0\" \
             and backend = \"rocm\")"
        );
        assert_eq!(
            reason(0x66a1).1,
            "AMD Vega 20 (gfx906), which the engines' ROCm images have dropped: Vulkan"
        );
        assert_eq!(reason(0x73bf).0, Backend::Rocm);
        assert_eq!(reason(0x7480).0, Backend::Rocm);
    }
}
