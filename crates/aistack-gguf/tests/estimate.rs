//! The formula, against what llama.cpp b11669 said of itself (`benches/fit.sh`).

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use aistack_gguf::{
    CacheType, EstimateError, ModelShape, Settings, SlidingWindow, estimate, largest_context,
};
use proptest::prelude::*;

/// 8 layers, 1024 wide, 16 heads over 4 of 64: the first model of the bench.
fn dense() -> ModelShape {
    ModelShape {
        schema: 1,
        name: None,
        architecture: "llama".to_owned(),
        files: 1,
        weights_mib: 158,
        layers: 8,
        kv_elements_per_token_k: 2048,
        kv_elements_per_token_v: 2048,
        sliding_window: None,
        recurrent_bytes_per_slot: 0,
        embedding_length: 1024,
        feed_forward_length: 2816,
        attention_heads: 16,
        attention_length: 1024,
        key_length: 64,
        value_length: 64,
        vocab_size: 32_000,
        context_length: 32_768,
        notes: Vec::new(),
    }
}

/// Gemma 2's layout: every second of 12 layers sees 1024 tokens only.
fn windowed() -> ModelShape {
    ModelShape {
        architecture: "gemma2".to_owned(),
        weights_mib: 175,
        layers: 12,
        kv_elements_per_token_k: 6 * 512,
        kv_elements_per_token_v: 6 * 512,
        sliding_window: Some(SlidingWindow {
            tokens: 1024,
            kv_elements_per_token_k: 6 * 512,
            kv_elements_per_token_v: 6 * 512,
        }),
        embedding_length: 768,
        feed_forward_length: 3072,
        attention_heads: 6,
        attention_length: 1536,
        key_length: 256,
        value_length: 256,
        vocab_size: 64_000,
        ..dense()
    }
}

/// Weights, KV cache, compute, overhead.
fn parts(model: &ModelShape, settings: &Settings) -> [u64; 4] {
    let seen = estimate(model, settings).unwrap();
    let parts = [
        seen.weights_mib,
        seen.kv_cache_mib,
        seen.compute_mib,
        seen.overhead_mib,
    ];
    assert_eq!(seen.total_mib, parts.iter().sum::<u64>());
    parts
}

#[test]
fn the_documented_examples() {
    // llama.cpp: KV 18.00, compute 7.16, output 0.49.
    assert_eq!(parts(&dense(), &Settings::default()), [158, 18, 8, 40]);
    // llama.cpp: KV 27.00 + 16.88, compute 7.73, output 0.98.
    assert_eq!(parts(&windowed(), &Settings::default()), [175, 44, 9, 48]);
    let defaults = Settings {
        context: 32_768,
        cache_k: CacheType::F16,
        cache_v: CacheType::F16,
        ubatch: 512,
        device: true,
        ..Settings::default()
    };
    assert_eq!(parts(&dense(), &defaults), [158, 256, 35, 512]);
}

#[test]
fn contexts_are_rounded_as_llama_cpp_rounds_them() {
    let context = |context, parallel| {
        let seen = estimate(
            &dense(),
            &Settings {
                context,
                parallel,
                ..Settings::default()
            },
        )
        .unwrap();
        (seen.context, seen.context_per_slot)
    };
    assert_eq!(context(8192, 4), (8192, 2048));
    assert_eq!(context(8192, 3), (8448, 2816));
    assert_eq!(context(8193, 1), (8448, 8448));
    assert_eq!(context(1, 1), (256, 256));
    assert_eq!(context(1, 7), (7 * 256, 256));
    assert_eq!(context(0, 4), (32_768, 8192));
}

#[test]
fn each_cache_type_takes_what_ggml_packs() {
    for (kind, mib) in [
        (CacheType::F32, 128),
        (CacheType::F16, 64),
        (CacheType::Bf16, 64),
        (CacheType::Q8_0, 34),
        (CacheType::Q5_1, 24),
        (CacheType::Q5_0, 22),
        (CacheType::Q4_1, 20),
        (CacheType::Q4_0, 18),
        (CacheType::Iq4Nl, 18),
    ] {
        let both = Settings {
            cache_k: kind,
            cache_v: kind,
            ..Settings::default()
        };
        assert_eq!(parts(&dense(), &both)[1], mib, "{kind}");
        let keys = Settings {
            cache_v: CacheType::F16,
            ..both
        };
        assert_eq!(parts(&dense(), &keys)[1], mib / 2 + 32, "{kind}");
    }
}

#[test]
fn a_window_is_as_long_as_it_and_a_batch_and_never_longer_than_the_slot() {
    let kv = |context, ubatch| {
        let settings = Settings {
            context,
            ubatch,
            ..Settings::default()
        };
        parts(&windowed(), &settings)[1]
    };
    // Of 4 slots: 2048 tokens and 1280; 16 384 and 1280; 16 384 and 1536; 512 and 512.
    assert_eq!(kv(8192, 128), 44);
    assert_eq!(kv(65_536, 128), 216 + 17);
    assert_eq!(kv(65_536, 512), 216 + 21);
    assert_eq!(kv(2048, 512), 14);
}

#[test]
fn without_flash_attention_scores_are_kept_for_each_head() {
    let off = Settings {
        cache_k: CacheType::F16,
        cache_v: CacheType::F16,
        flash_attention: false,
        ..Settings::default()
    };
    // 16 heads · 2048 tokens · 128 · 4 bytes, and what a layer needs else.
    assert_eq!(parts(&dense(), &off)[2], 21);
    assert_eq!(
        estimate(
            &dense(),
            &Settings {
                cache_v: CacheType::Q4_0,
                ..off
            }
        ),
        Err(EstimateError::FlashAttention {
            kind: CacheType::Q4_0
        })
    );
}

#[test]
fn states_are_one_for_each_slot() {
    let hybrid = ModelShape {
        recurrent_bytes_per_slot: 5 << 20,
        ..dense()
    };
    assert_eq!(parts(&hybrid, &Settings::default())[1], 18 + 20);
}

#[test]
fn heads_that_blocks_do_not_divide_are_refused() {
    let odd = ModelShape {
        key_length: 80,
        value_length: 80,
        ..dense()
    };
    let text = estimate(&odd, &Settings::default())
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("packs 32 values of q4_0") && text.contains("80 wide for the keys"),
        "{text}"
    );
    let f16 = Settings {
        cache_k: CacheType::F16,
        cache_v: CacheType::F16,
        ..Settings::default()
    };
    assert!(estimate(&odd, &f16).is_ok());
}

#[test]
fn contexts_beyond_counting_are_refused() {
    for (context, parallel) in [(u64::MAX, 1), (1 << 32, 4), (1, u64::MAX)] {
        let settings = Settings {
            context,
            parallel,
            ..Settings::default()
        };
        assert!(
            estimate(&dense(), &settings).is_err(),
            "{context} {parallel}"
        );
    }
}

#[test]
fn the_largest_context_fits_and_the_next_does_not() {
    let settings = Settings::default();
    for available in (210..500).step_by(3) {
        let best = largest_context(&dense(), &settings, available)
            .unwrap()
            .unwrap();
        assert!(best.total_mib <= available, "{best:?}");
        let next = Settings {
            context: best.context + 4 * 256,
            ..settings
        };
        let next = estimate(&dense(), &next).unwrap();
        assert!(next.total_mib > available, "{available}: {best:?}");
    }
    // Not one token fits; all that the model was trained for do.
    assert_eq!(largest_context(&dense(), &settings, 200), Ok(None));
    let all = largest_context(&dense(), &settings, 1 << 40)
        .unwrap()
        .unwrap();
    assert_eq!((all.context, all.context_per_slot), (4 * 32_768, 32_768));
}

proptest! {
    #[test]
    fn no_shape_and_no_settings_are_too_much(
        numbers in prop::collection::vec(prop_oneof![0_u64..1 << 20, any::<u64>()], 14),
        flash_attention: bool,
    ) {
        let mut next = numbers.into_iter();
        let mut number = || next.next().unwrap_or(0);
        let model = ModelShape {
            weights_mib: number(),
            kv_elements_per_token_k: number() >> 8,
            kv_elements_per_token_v: number() >> 8,
            sliding_window: Some(SlidingWindow {
                tokens: number(),
                kv_elements_per_token_k: number() >> 8,
                kv_elements_per_token_v: number() >> 8,
            }),
            embedding_length: number() >> 32,
            feed_forward_length: number() >> 16,
            attention_heads: number() >> 32,
            attention_length: number() >> 16,
            vocab_size: number() >> 32,
            context_length: number() >> 32,
            ..dense()
        };
        let settings = Settings {
            context: number() >> 20,
            ubatch: number() >> 32,
            cache_k: CacheType::F16,
            cache_v: CacheType::F16,
            flash_attention,
            ..Settings::default()
        };
        if let Ok(one) = estimate(&model, &settings) {
            let more = Settings { context: one.context + 1024, ..settings };
            if let Ok(more) = estimate(&model, &more) {
                prop_assert!(more.total_mib >= one.total_mib);
            }
        }
        if let Ok(Some(best)) = largest_context(&model, &settings, 1 << 20) {
            prop_assert!(best.total_mib <= 1 << 20);
        }
    }
}
