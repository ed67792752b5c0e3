//! Turns `proto/inform.proto` into Rust, without `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let described = protox::compile(["proto/inform.proto"], ["proto"])?;
    let mut config = prost_build::Config::new();
    // Terminal bytes are handed on from task to task: shared, not copied.
    config.bytes([".aerie.inform.v1.TerminalData.data"]);
    config.compile_fds(described)?;
    Ok(())
}
