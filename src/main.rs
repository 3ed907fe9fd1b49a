//! The binary `weituo`.

fn main() -> std::process::ExitCode {
    weituo::cli::main()
}
