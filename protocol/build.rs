//! Turns `proto/inform.proto` into Rust, without `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let described = protox::compile(["proto/inform.proto"], ["proto"])?;
    let mut config = prost_build::Config::new();
    // Terminal bytes are handed on from task to task: shared, not copied.
    config.bytes([".aerie.inform.v1.TerminalData.data"]);
    // They carry a password in clear: wiped when they go, and never shown.
    let secrets = [".aerie.inform.v1.SetPassword", ".aerie.inform.v1.TryPassword"];
    for secret in secrets {
        config.message_attribute(secret, "#[derive(::zeroize::Zeroize, ::zeroize::ZeroizeOnDrop)]");
    }
    config.skip_debug(secrets);
    config.compile_fds(described)?;
    Ok(())
}
