//! Tensor types of ggml (`enum ggml_type` and the type traits in its `ggml.c`).

use std::fmt;
use std::str::FromStr;

/// A packing of numbers: so many values in so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Values in a block.
    pub values: u64,
    /// Bytes of a block.
    pub bytes: u64,
}

/// The packing of a tensor type by its number in a GGUF file; none for numbers
/// that ggml has withdrawn or that this crate doesn't know.
#[must_use]
pub fn block(number: u32) -> Option<Block> {
    let (values, bytes) = match number {
        0 | 26 => (1, 4),      // f32, i32
        1 | 25 | 30 => (1, 2), // f16, i16, bf16
        2 | 20 => (32, 18),    // q4_0, iq4_nl
        3 => (32, 20),         // q4_1
        6 => (32, 22),         // q5_0
        7 => (32, 24),         // q5_1
        8 => (32, 34),         // q8_0
        9 => (32, 36),         // q8_1
        10 => (256, 84),       // q2_K
        11 | 21 => (256, 110), // q3_K, iq3_s
        12 => (256, 144),      // q4_K
        13 => (256, 176),      // q5_K
        14 => (256, 210),      // q6_K
        15 => (256, 292),      // q8_K
        16 | 35 => (256, 66),  // iq2_xxs, tq2_0
        17 => (256, 74),       // iq2_xs
        18 => (256, 98),       // iq3_xxs
        19 => (256, 50),       // iq1_s
        22 => (256, 82),       // iq2_s
        23 => (256, 136),      // iq4_xs
        24 => (1, 1),          // i8
        27 | 28 => (1, 8),     // i64, f64
        29 => (256, 56),       // iq1_m
        34 => (256, 54),       // tq1_0
        39 => (32, 17),        // mxfp4
        40 => (64, 36),        // nvfp4
        41 => (128, 18),       // q1_0
        42 => (64, 18),        // q2_0
        _ => return None,
    };
    Some(Block { values, bytes })
}

/// A type that llama.cpp can keep keys and values in (`--cache-type-k`, `--cache-type-v`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheType {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// 16-bit brain float.
    Bf16,
    /// 8 bits and a scale for 32 values.
    Q8_0,
    /// 5 bits, a scale and a minimum for 32 values.
    Q5_1,
    /// 5 bits and a scale for 32 values.
    Q5_0,
    /// 4 bits, a scale and a minimum for 32 values.
    Q4_1,
    /// 4 bits and a scale for 32 values.
    Q4_0,
    /// 4 bits of a table and a scale for 32 values.
    Iq4Nl,
}

impl CacheType {
    /// All of them, the widest first.
    pub const ALL: [Self; 9] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q8_0,
        Self::Q5_1,
        Self::Q5_0,
        Self::Q4_1,
        Self::Q4_0,
        Self::Iq4Nl,
    ];

    /// Its name in llama.cpp's options.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Q5_1 => "q5_1",
            Self::Q5_0 => "q5_0",
            Self::Q4_1 => "q4_1",
            Self::Q4_0 => "q4_0",
            Self::Iq4Nl => "iq4_nl",
        }
    }

    /// How it packs values.
    #[must_use]
    pub fn block(self) -> Block {
        let (values, bytes) = match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q8_0 => (32, 34),
            Self::Q5_1 => (32, 24),
            Self::Q5_0 => (32, 22),
            Self::Q4_1 => (32, 20),
            Self::Q4_0 | Self::Iq4Nl => (32, 18),
        };
        Block { values, bytes }
    }
}

impl fmt::Display for CacheType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CacheType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.iter().map(|kind| kind.name()).collect();
                format!("not one of {}", names.join(", "))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_types_are_packed_as_the_tensors_of_the_same_name() {
        let numbers = [0, 1, 30, 8, 7, 6, 3, 2, 20];
        for (kind, number) in CacheType::ALL.into_iter().zip(numbers) {
            assert_eq!(Some(kind.block()), block(number), "{kind}");
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("q4_K".parse::<CacheType>().is_err());
    }

    #[test]
    fn withdrawn_types_are_unknown() {
        for number in [4, 5, 31, 32, 33, 36, 37, 38, 43, u32::MAX] {
            assert_eq!(block(number), None, "{number}");
        }
    }
}
