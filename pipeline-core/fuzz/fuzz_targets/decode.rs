#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pipeline_core_fuzz::decode(bytes));
