//! Lets cargo notice when the web GUI was built anew: what is built without debug assertions has it
//! inside. A debug build reads its files when they are asked for, and is not built anew for them.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_CFG_DEBUG_ASSERTIONS").is_none() {
        println!("cargo:rerun-if-changed=../gui/dist");
    }
}
