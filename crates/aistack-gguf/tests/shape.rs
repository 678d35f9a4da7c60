//! Shapes of models as people have them.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod maker;

use aistack_gguf::{Error, ModelShape, SlidingWindow, read_model};
use maker::{Entry, Model};

fn shape(model: &Model) -> Result<ModelShape, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    model.write(&path);
    read_model(&path)
}

fn message(model: &Model) -> String {
    let text = shape(model).unwrap_err().to_string();
    text.rsplit_once("model.gguf")
        .map_or(text.clone(), |(_, rest)| rest.to_owned())
}

#[test]
fn a_dense_model() {
    let seen = shape(&Model::of("llama")).unwrap();
    assert_eq!(seen.weights_mib, 57); // 59 326 464 bytes
    assert_eq!((seen.layers, seen.files), (8, 1));
    // 8 layers, 4 heads, 64 wide.
    assert_eq!(seen.kv_elements_per_token_k, 2048);
    assert_eq!(seen.kv_elements_per_token_v, 2048);
    assert_eq!((seen.key_length, seen.attention_length), (64, 1024));
    assert_eq!(seen.feed_forward_length, 2816);
    assert_eq!((seen.vocab_size, seen.context_length), (32_000, 32_768));
    assert_eq!(seen.name.as_deref(), Some("made for a test"));
    assert_eq!(seen.sliding_window, None);
    assert!(seen.notes.is_empty());
}

#[test]
fn version_2_is_read_too() {
    let model = Model::of("llama");
    let old = Model {
        version: 2,
        ..model.clone()
    };
    assert_eq!(shape(&old).unwrap(), shape(&model).unwrap());
    for (version, seen) in [
        (1, "version 1 "),
        (4, "version 4 "),
        (3 << 24, "version 50331648 "),
    ] {
        let other = Model {
            version,
            ..model.clone()
        };
        assert!(message(&other).contains(seen), "{}", message(&other));
    }
}

#[test]
fn heads_of_their_own_width_and_number_in_each_layer() {
    let model = Model::of("gpt-oss")
        .with("gpt-oss.attention.key_length", Entry::U32(128))
        .with("gpt-oss.attention.value_length", Entry::U32(96))
        .with(
            "gpt-oss.attention.head_count_kv",
            Entry::U32s(vec![1, 2, 3, 4, 5, 6, 7, 8]),
        );
    let seen = shape(&model).unwrap();
    assert_eq!(seen.kv_elements_per_token_k, 36 * 128);
    assert_eq!(seen.kv_elements_per_token_v, 36 * 96);
    assert_eq!(seen.attention_length, 16 * 128);
}

#[test]
fn without_its_own_number_of_heads_a_cache_has_that_of_the_queries() {
    let model = Model::of("llama").without("llama.attention.head_count_kv");
    assert_eq!(shape(&model).unwrap().kv_elements_per_token_k, 8 * 1024);
}

#[test]
fn sliding_windows_by_architecture_by_period_and_by_layer() {
    // 1 layer in 6 sees everything: the last of them, so 1 of 8.
    let gemma = Model::of("gemma3").with("gemma3.attention.sliding_window", Entry::U32(1024));
    let seen = shape(&gemma).unwrap();
    let window = |layers: u64| {
        Some(SlidingWindow {
            tokens: 1024,
            kv_elements_per_token_k: layers * 256,
            kv_elements_per_token_v: layers * 256,
        })
    };
    assert_eq!(seen.kv_elements_per_token_k, 256);
    assert_eq!(seen.sliding_window, window(7));

    let period = gemma
        .clone()
        .with("gemma3.attention.sliding_window_pattern", Entry::U32(2));
    assert_eq!(shape(&period).unwrap().sliding_window, window(4));

    let each = gemma.with(
        "gemma3.attention.sliding_window_pattern",
        Entry::Bools(vec![true, true, false, true, false, false, false, false]),
    );
    let seen = shape(&each).unwrap();
    assert_eq!(seen.sliding_window, window(3));
    assert_eq!(seen.kv_elements_per_token_k, 5 * 256);
}

#[test]
fn a_window_of_unknown_layers_is_an_upper_bound_and_said_so() {
    let model = Model::of("newcomer").with("newcomer.attention.sliding_window", Entry::U32(512));
    let seen = shape(&model).unwrap();
    assert_eq!(seen.sliding_window, None);
    assert_eq!(seen.kv_elements_per_token_k, 2048);
    assert!(
        seen.notes[0].contains("512 tokens is not known"),
        "{:?}",
        seen.notes
    );
}

#[test]
fn layers_that_share_their_cache_or_keep_none() {
    let shared = Model::of("gemma4").with("gemma4.attention.shared_kv_layers", Entry::U32(3));
    assert_eq!(shape(&shared).unwrap().kv_elements_per_token_k, 5 * 256);

    let drafts = Model::of("glm4moe").with("glm4moe.nextn_predict_layers", Entry::U32(1));
    assert_eq!(shape(&drafts).unwrap().kv_elements_per_token_k, 7 * 256);

    // Multi-head latent attention keeps keys only.
    let latent = Model::of("deepseek2")
        .with("deepseek2.attention.head_count_kv", Entry::U32(1))
        .with("deepseek2.attention.key_length", Entry::U32(576))
        .with("deepseek2.attention.value_length", Entry::U32(512))
        .with("deepseek2.attention.key_length_mla", Entry::U32(192))
        .with("deepseek2.attention.value_length_mla", Entry::U32(128));
    let seen = shape(&latent).unwrap();
    assert_eq!(seen.kv_elements_per_token_k, 8 * 576);
    assert_eq!(seen.kv_elements_per_token_v, 0);
}

#[test]
fn recurrent_layers_have_a_state_instead() {
    let hybrid = Model::of("qwen35")
        .with("qwen35.full_attention_interval", Entry::U32(4))
        .with("qwen35.ssm.inner_size", Entry::U32(4096))
        .with("qwen35.ssm.state_size", Entry::U32(128))
        .with("qwen35.ssm.group_count", Entry::U32(16))
        .with("qwen35.ssm.conv_kernel", Entry::U32(4));
    let seen = shape(&hybrid).unwrap();
    assert_eq!(seen.kv_elements_per_token_k, 2 * 256);
    let layer = 3 * (4096 + 2 * 16 * 128) + 128 * 4096;
    assert_eq!(seen.recurrent_bytes_per_slot, 6 * 4 * layer);

    let short = Model::of("lfm2")
        .with(
            "lfm2.attention.head_count_kv",
            Entry::U32s(vec![0, 0, 4, 0, 0, 4, 0, 0]),
        )
        .with("lfm2.shortconv.l_cache", Entry::U32(3));
    let seen = shape(&short).unwrap();
    assert_eq!(seen.kv_elements_per_token_v, 2 * 256);
    assert_eq!(seen.recurrent_bytes_per_slot, 6 * 4 * 2 * 1024);

    let other = Model::of("rwkv7").with("rwkv7.attention.head_count", Entry::U32(0));
    let seen = shape(&other).unwrap();
    assert_eq!(
        (seen.kv_elements_per_token_k, seen.recurrent_bytes_per_slot),
        (0, 0)
    );
    assert!(
        seen.notes[0].contains("8 recurrent layers"),
        "{:?}",
        seen.notes
    );
}

#[test]
fn of_a_mixture_the_experts_that_a_token_uses_count() {
    let model = Model::of("qwen3moe")
        .with("qwen3moe.expert_used_count", Entry::U32(8))
        .with("qwen3moe.expert_feed_forward_length", Entry::U32(768));
    assert_eq!(shape(&model).unwrap().feed_forward_length, 8 * 768);
    // Without a width of their own, experts have that of the layer.
    let old = Model::of("llama").with("llama.expert_used_count", Entry::U32(2));
    assert_eq!(shape(&old).unwrap().feed_forward_length, 2 * 2816);
}

#[test]
fn the_vocabulary_is_counted_in_one_of_three_ways() {
    let without = Model::of("llama").without("tokenizer.ggml.tokens");
    assert_eq!(shape(&without).unwrap().vocab_size, 32_000);
    let said = without.with("llama.vocab_size", Entry::U32(99));
    assert_eq!(shape(&said).unwrap().vocab_size, 99);
}

#[test]
fn what_is_missing_or_odd_is_named() {
    let model = Model::of("llama");
    for (odd, seen) in [
        (
            model.clone().without("general.architecture"),
            "no usable general.architecture (it is missing)",
        ),
        (
            model.clone().with("general.architecture", Entry::U32(7)),
            "no usable general.architecture (it is no text)",
        ),
        (
            model.clone().without("llama.block_count"),
            "no usable llama.block_count (it is missing or 0)",
        ),
        (
            model
                .clone()
                .with("llama.block_count", Entry::U32(u32::MAX)),
            "it is 4294967295, more than 4096",
        ),
        (
            model.clone().with("llama.embedding_length", Entry::I32(-5)),
            "no usable llama.embedding_length (it is no whole number)",
        ),
        (
            model
                .clone()
                .with("llama.attention.head_count_kv", Entry::U32s(vec![1, 2, 3])),
            "it has 3 numbers for 8 layers",
        ),
        (
            model.clone().with(
                "llama.attention.head_count_kv",
                Entry::U32s(vec![u32::MAX; 8]),
            ),
            "it holds 4294967295",
        ),
        (
            model.clone().with("general.alignment", Entry::U32(33)),
            "not a power of two",
        ),
    ] {
        assert!(message(&odd).contains(seen), "{}", message(&odd));
    }
    // A projector for pictures, which is no language model.
    let clip = Model {
        entries: vec![("general.architecture".to_owned(), Entry::text("clip"))],
        ..model
    };
    assert!(
        message(&clip).contains("not a language model"),
        "{}",
        message(&clip)
    );
}

#[test]
fn no_file_no_directory_and_no_end() {
    let dir = tempfile::tempdir().unwrap();
    let text = read_model(dir.path()).unwrap_err().to_string();
    assert!(
        text.ends_with("is not a file: give a model in the GGUF format"),
        "{text}"
    );
    let path = dir.path().join("none.gguf");
    let text = read_model(&path).unwrap_err().to_string();
    assert!(
        text.ends_with("none.gguf: No such file or directory"),
        "{text}"
    );

    let model = Model::of("llama");
    model.write(&path);
    let length = std::fs::metadata(&path).unwrap().len();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(length - 1).unwrap();
    let text = read_model(&path).unwrap_err().to_string();
    let seen = format!(
        "is cut off: its tensors need {length} bytes, it has {}",
        length - 1
    );
    assert!(text.contains(&seen), "{text}");
}

/// The parts of a split model, of which only the first has more than its tensors.
fn split(dir: &std::path::Path, parts: u32) -> Vec<std::path::PathBuf> {
    (0..parts)
        .map(|part| {
            let whole = Model::of("llama");
            let model = if part == 0 {
                whole
            } else {
                Model {
                    entries: Vec::new(),
                    ..whole
                }
            };
            let path = dir.join(format!("big-{:05}-of-{parts:05}.gguf", part + 1));
            model
                .with("split.no", Entry::U32(part))
                .with("split.count", Entry::U32(parts))
                .with(
                    "split.tensors.count",
                    Entry::I32(i32::try_from(2 * parts).unwrap()),
                )
                .write(&path);
            path
        })
        .collect()
}

#[test]
fn a_split_model_is_the_sum_of_its_parts() {
    let dir = tempfile::tempdir().unwrap();
    let parts = split(dir.path(), 3);
    let seen = read_model(&parts[0]).unwrap();
    assert_eq!((seen.files, seen.weights_mib), (3, 170)); // 3 · 59 326 464 bytes
    assert_eq!(seen.kv_elements_per_token_k, 2048);

    let text = read_model(&parts[2]).unwrap_err().to_string();
    assert!(
        text.contains("is part 3 of 3 of a split model: give the first, "),
        "{text}"
    );
    assert!(text.ends_with("big-00001-of-00003.gguf"), "{text}");

    std::fs::rename(&parts[1], dir.path().join("elsewhere")).unwrap();
    let text = read_model(&parts[0]).unwrap_err().to_string();
    assert!(
        text.ends_with("big-00002-of-00003.gguf: No such file or directory"),
        "{text}"
    );

    std::fs::copy(&parts[2], &parts[1]).unwrap();
    let text = read_model(&parts[0]).unwrap_err().to_string();
    assert!(
        text.contains("it is not part 2 of 3, as its name says"),
        "{text}"
    );

    let renamed = dir.path().join("big.gguf");
    std::fs::rename(&parts[0], &renamed).unwrap();
    let text = read_model(&renamed).unwrap_err().to_string();
    assert!(
        text.contains("its name does not end in -00001-of-00003.gguf"),
        "{text}"
    );
}

#[test]
fn a_split_model_with_another_number_of_tensors_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let parts = split(dir.path(), 2);
    Model::of("llama")
        .with("split.no", Entry::U32(0))
        .with("split.count", Entry::U32(2))
        .with("split.tensors.count", Entry::I32(5))
        .write(&parts[0]);
    let text = read_model(&parts[0]).unwrap_err().to_string();
    assert!(
        text.contains("it declares 5 tensors, its 2 parts hold 4"),
        "{text}"
    );
}

#[test]
fn the_shape_is_as_its_schema_says() {
    let schema = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../schemas/model-shape.schema.json"
    );
    let schema: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let window = Model::of("gemma2");
    for model in [Model::of("llama"), window] {
        let seen = serde_json::to_value(shape(&model).unwrap()).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&seen)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
        let mut other = seen.clone();
        other["schema"] = 2.into();
        assert!(!validator.is_valid(&other));
        let back: ModelShape = serde_json::from_value(seen).unwrap();
        assert_eq!(back, shape(&model).unwrap());
    }
}
