//! The binary `weituo`.

/// Entries are allocated by one thread and freed by another, which glibc's allocator makes its threads wait for: half of
/// the append path's processor time went there (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    weituo::cli::main()
}
