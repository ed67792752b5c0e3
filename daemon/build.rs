//! Lets cargo notice when the web GUI was built anew: a release binary has it inside. A debug build
//! reads its files when they are asked for, and is not built anew for them.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo:rerun-if-changed=../gui/dist");
    }
}
