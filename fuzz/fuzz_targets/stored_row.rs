#![no_main]

#[path = "../ledger_bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bodies::stored_row(data);
});
