//! `aistack fit`: whether a model fits this machine's memory.

use std::path::PathBuf;

use aistack_gguf::{CacheType, Estimate, ModelShape, Settings, estimate, largest_context};
use aistack_machine::output::{self, BAD, Cell, FAINT, GOOD, UNSURE};
use anyhow::{Context as _, Result, anyhow, bail};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use crate::cli::Verdict;

/// Main memory that the estimate leaves to the rest of the system, in MiB.
const SYSTEM_MIB: u64 = 1024;

/// Say whether a model fits this machine's memory, and with how much context
///
/// Reads the GGUF file's header, never its weights, and estimates what llama.cpp's server
/// takes: weights, cache of keys and values, compute buffers, and what the process or the
/// card's driver needs beside. That is held against the memory of the primary GPU where
/// the facts know it, else against the main memory. Not counted is what the server keeps
/// of past prompts in main memory (its --cache-ram, up to 8 GiB unless told otherwise).
/// The defaults are those of services.aiStack.llama-cpp.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 the model fits, 1 it does not, 2 could not run.\n\
    The context is for all slots together: each gets its share."
)]
pub struct Args {
    /// The model; of a split model the first part
    #[arg(value_name = "MODEL.gguf")]
    model: PathBuf,

    /// Tokens of context over all slots; 0: the model's own
    #[arg(long, value_name = "N", default_value_t = Settings::default().context)]
    ctx: u64,

    /// Slots, that is requests answered at the same time
    #[arg(long, value_name = "N", default_value_t = Settings::default().parallel,
          value_parser = clap::value_parser!(u64).range(1..=256))]
    parallel: u64,

    /// Type of the cache's keys and values
    #[arg(long, value_name = "TYPE", default_value_t = Settings::default().cache_k,
          conflicts_with_all = ["cache_type_k", "cache_type_v"])]
    kv: CacheType,

    /// Type of the keys alone
    #[arg(long, value_name = "TYPE")]
    cache_type_k: Option<CacheType>,

    /// Type of the values alone
    #[arg(long, value_name = "TYPE")]
    cache_type_v: Option<CacheType>,

    /// Tokens of a physical batch
    #[arg(long, value_name = "N", default_value_t = Settings::default().ubatch,
          value_parser = clap::value_parser!(u64).range(1..=65536))]
    ubatch: u64,

    /// Flash attention
    #[arg(
        long,
        value_name = "on|off",
        hide_possible_values = true,
        default_value = "on"
    )]
    flash_attn: Switch,

    /// The machine's facts, as `aistack facts` wrote them; else they are read here and now
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,

    /// Print the model's shape, for the Nix modules, and the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// The memory that a model is held against.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Machine {
    /// Slot of the GPU whose memory it is; null for main memory.
    gpu: Option<String>,
    #[serde(rename = "memoryMiB")]
    memory_mib: u64,
    /// What of it a model can have.
    #[serde(rename = "availableMiB")]
    available_mib: u64,
    /// Why this memory, in words.
    reason: String,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    model: &'a ModelShape,
    fit: Fit<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fit<'a> {
    settings: SettingsReport,
    needs: &'a Estimate,
    machine: &'a Machine,
    fits: bool,
    largest_context: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SettingsReport {
    context: u64,
    parallel: u64,
    cache_type_k: &'static str,
    cache_type_v: &'static str,
    ubatch: u64,
    flash_attention: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let model = aistack_gguf::read_model(&args.model)?;
    let machine = machine(args)?;
    let settings = Settings {
        context: args.ctx,
        parallel: args.parallel,
        cache_k: args.cache_type_k.unwrap_or(args.kv),
        cache_v: args.cache_type_v.unwrap_or(args.kv),
        ubatch: args.ubatch,
        flash_attention: args.flash_attn == Switch::On,
        device: machine.gpu.is_some(),
    };
    let path = args.model.display();
    let needs = estimate(&model, &settings).with_context(|| path.to_string())?;
    let largest = largest_context(&model, &settings, machine.available_mib)
        .with_context(|| path.to_string())?;
    let fits = needs.total_mib <= machine.available_mib;
    if args.json {
        output::print_json(&Report {
            model: &model,
            fit: Fit {
                settings: SettingsReport {
                    context: settings.context,
                    parallel: settings.parallel,
                    cache_type_k: settings.cache_k.name(),
                    cache_type_v: settings.cache_v.name(),
                    ubatch: settings.ubatch,
                    flash_attention: settings.flash_attention,
                },
                needs: &needs,
                machine: &machine,
                fits,
                largest_context: largest.map(|largest| largest.context),
            },
        })?;
    } else {
        output::print(&text(args, &model, &settings, &needs, &machine, largest))?;
    }
    Ok(Verdict::of(fits))
}

/// The memory to hold the model against, from the facts.
fn machine(args: &Args) -> Result<Machine> {
    let facts = if let Some(path) = &args.facts {
        aistack_facts::declared(path)?
    } else {
        let reading = aistack_facts::read("/".as_ref())?;
        serde_json::to_value(&reading.facts).context("the facts are no JSON")?
    };
    let main = facts
        .pointer("/memory/totalMiB")
        .and_then(Value::as_u64)
        .map(|memory_mib| Machine {
            gpu: None,
            memory_mib,
            available_mib: memory_mib.saturating_sub(SYSTEM_MIB),
            reason: String::new(),
        });
    let in_main = |reason: String| {
        main.map(|machine| Machine { reason, ..machine })
            .ok_or_else(|| match &args.facts {
                Some(path) => anyhow!(
                    "{}: memory.totalMiB is no number, so there is nothing to hold the model against: write the facts anew with `aistack facts -o {}`",
                    path.display(),
                    path.display()
                ),
                None => anyhow!("the size of this machine's memory is unknown (/proc/meminfo): give its facts with --facts FILE"),
            })
    };

    let Some(slot) = facts.get("primaryGpu").and_then(Value::as_str) else {
        return in_main("no GPU that models run on".to_owned());
    };
    let gpu = facts
        .get("gpus")
        .and_then(Value::as_array)
        .and_then(|gpus| {
            gpus.iter()
                .find(|gpu| gpu.get("slot").and_then(Value::as_str) == Some(slot))
        });
    let Some(gpu) = gpu else {
        bail!(
            "the facts name {slot} as the primary GPU, but have no such entry in gpus: write them anew with `aistack facts`"
        );
    };
    let name = ["name", "pciId"]
        .iter()
        .find_map(|key| gpu.get(key).and_then(Value::as_str))
        .unwrap_or("?");
    if gpu.get("integrated").and_then(Value::as_bool) == Some(true) {
        return in_main(format!("the GPU at {slot} ({name}) shares it"));
    }
    match gpu.get("vramMiB").and_then(Value::as_u64) {
        Some(vram_mib) => Ok(Machine {
            gpu: Some(slot.to_owned()),
            memory_mib: vram_mib,
            available_mib: vram_mib,
            reason: format!("of the GPU at {slot} ({name})"),
        }),
        None => in_main(format!(
            "the memory of the GPU at {slot} ({name}) is not known"
        )),
    }
}

fn text(
    args: &Args,
    model: &ModelShape,
    settings: &Settings,
    needs: &Estimate,
    machine: &Machine,
    largest: Option<Estimate>,
) -> String {
    let mut lines = vec![format!("{}: {}", args.model.display(), model.architecture)];
    let rows = rows(model, settings, needs, machine);
    lines.extend(output::table(&rows).iter().map(|line| format!("  {line}")));
    lines.push(match largest {
        Some(largest) => {
            let next = largest.context_per_slot + aistack_gguf::CONTEXT_STEP;
            let limit = if next > model.context_length {
                " (all that the model was trained for)"
            } else {
                ""
            };
            format!(
                "The largest context that fits: --ctx {}{}{limit}.",
                largest.context,
                each(settings, &largest)
            )
        }
        None => "No context fits: take a smaller model or quantisation, or fewer slots.".to_owned(),
    });
    let note = output::paint("note", UNSURE);
    lines.extend(model.notes.iter().map(|text| format!("{note}: {text}")));
    lines.join("\n") + "\n"
}

/// What each slot gets of the context, when there are several.
fn each(settings: &Settings, needs: &Estimate) -> String {
    match settings.parallel {
        1 => String::new(),
        slots => format!(", {} for each of {slots} slots", needs.context_per_slot),
    }
}

fn rows(
    model: &ModelShape,
    settings: &Settings,
    needs: &Estimate,
    machine: &Machine,
) -> Vec<Vec<Cell>> {
    let row = |name: &str, mib: u64, what: String| {
        vec![
            Cell::plain(name),
            Cell::plain(format!("{mib:>9} MiB")),
            Cell::styled(what, FAINT),
        ]
    };
    let files = match model.files {
        1 => String::new(),
        files => format!(" in {files} files"),
    };
    let (overhead, memory) = if machine.gpu.is_some() {
        (
            "the card's driver and libraries",
            row("VRAM", machine.memory_mib, machine.reason.clone()),
        )
    } else {
        let what = format!(
            "less {SYSTEM_MIB} for the rest of the system; {}",
            machine.reason
        );
        ("the server's process", row("RAM", machine.memory_mib, what))
    };
    let spare = machine.available_mib.abs_diff(needs.total_mib);
    let (verdict, style, by) = if needs.total_mib <= machine.available_mib {
        ("fits", GOOD, format!("{spare} MiB to spare"))
    } else {
        ("does not fit", BAD, format!("{spare} MiB too little"))
    };
    vec![
        row(
            "weights",
            needs.weights_mib,
            format!("{} layers{files}", model.layers),
        ),
        row(
            "KV cache",
            needs.kv_cache_mib,
            format!(
                "{} tokens{}; keys {}, values {}",
                needs.context,
                each(settings, needs),
                settings.cache_k,
                settings.cache_v
            ),
        ),
        row(
            "compute",
            needs.compute_mib,
            format!("{} tokens at a time", settings.ubatch),
        ),
        row("overhead", needs.overhead_mib, overhead.to_owned()),
        row("total", needs.total_mib, String::new()),
        memory,
        vec![
            Cell::plain("verdict"),
            Cell::styled(format!("{verdict:>13}"), style),
            Cell::styled(by, FAINT),
        ],
    ]
}
