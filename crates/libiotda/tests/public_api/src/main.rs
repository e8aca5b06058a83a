//! Lists the public items of a crate, one a line, from rustdoc's JSON. Of the traits that the compiler implements by
//! itself, Send and Sync alone.

use std::env;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let json = env::args_os().nth(1).ok_or("name a file of rustdoc's JSON")?;
    let api = public_api::Builder::from_rustdoc_json(json).omit_blanket_impls(true).build()?;
    let others =
        ["core::marker::Freeze", "core::marker::Unpin", "core::marker::UnsafeUnpin", "core::panic::unwind_safe::"];
    for item in api.items().map(|item| item.to_string()) {
        if !others.iter().any(|name| item.contains(name)) {
            println!("{item}");
        }
    }
    Ok(())
}
