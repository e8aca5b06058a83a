//! Gives the shared library its SONAME, which cargo does not.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if os == "linux" || os == "android" {
        let major = std::env::var("CARGO_PKG_VERSION_MAJOR").expect("cargo sets it for build scripts");
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libiotda.so.{major}");
    }
}
