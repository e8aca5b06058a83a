//! What a program's bytes are: which part of it each dependency has, and what it would be without a feature.

use crate::programs::{self, length};
use crate::tables::{NOTHING, Table, number};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use testkit::{Package, own_std_is_missing, process, target};

/// What else the program can be: CMake's options, and the words for the table.
const VARIANTS: [(&[&str], &str); 5] = [
    (&["-DIOTDA_ROOTS=platform"], "without the public authorities"),
    (&["-DIOTDA_ROOTS=none"], "without any authorities"),
    (&["-DIOTDA_TLS13=OFF"], "without TLS 1.3"),
    (&[OWN_STD], "with a Rust library of its own"),
    (&[OWN_STD, "-DIOTDA_ROOTS=none", "-DIOTDA_TLS13=OFF"], "with that, and without the other two"),
];

/// For which Rust's source must be there.
const OWN_STD: &str = "-DIOTDA_BUILD_STD=ON";

/// Parts of a program, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Ring,
    Tls,
    Backtraces,
    Rust,
    Libiotda,
    OtherCrates,
    Program,
}

impl Part {
    const ALL: [(Self, &str); 7] = [
        (Self::Ring, "cryptography: ring"),
        (Self::Tls, "TLS and certificates: rustls, webpki"),
        (Self::Rust, "Rust's own library, without the next line"),
        (Self::Backtraces, "what prints the backtrace of a panic, in Rust's own library"),
        (Self::Libiotda, "libiotda itself"),
        (Self::OtherCrates, "serde_json, httparse, sha2, socket2, getrandom and so on"),
        (Self::Program, "the program that uses it"),
    ];

    /// Of a symbol, by its name as the source has it. A name of C is ring's, if the library has it and the API has not.
    fn of(name: &str, library: &BTreeSet<String>) -> Self {
        const BACKTRACES: [&str; 6] = ["gimli", "addr2line", "miniz_oxide", "rustc_demangle", "object", "adler2"];
        let crates = crates_in(name);
        if name.contains("backtrace") || crates.iter().any(|name| BACKTRACES.contains(name)) {
            return Self::Backtraces;
        }
        if crates.is_empty() {
            return match name {
                _ if !library.contains(name) => Self::Program,
                _ if name.starts_with("iotda_") => Self::Libiotda,
                // What compilers take for arithmetic that the processor lacks, and start a panic with.
                _ if name.starts_with("__") || name.starts_with("rust_") => Self::Rust,
                _ if name.contains([' ', '<']) => Self::Rust, // of a primitive type
                _ => Self::Ring,
            };
        }
        let part_of = |name: &str| match name {
            "core" | "alloc" | "std" | "std_detect" | "panic_unwind" | "compiler_builtins" | "hashbrown"
            | "__rustc" => Self::Rust,
            "ring" | "untrusted" => Self::Ring,
            "rustls" | "webpki" | "rustls_pki_types" | "webpki_roots" | "subtle" => Self::Tls,
            "iotda" | "iotda_capi" | "iotda_sys" => Self::Libiotda,
            _ => Self::OtherCrates,
        };
        // What Rust's library does with the type of a crate is that crate's.
        crates.iter().map(|name| part_of(name)).find(|part| *part != Self::Rust).unwrap_or(Self::Rust)
    }
}

/// The crates that a name of Rust's mentions, such as rustls and core of `<rustls::Error as core::fmt::Debug>::fmt`.
fn crates_in(name: &str) -> Vec<&str> {
    let is_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut crates = Vec::new();
    for (at, _) in name.match_indices("::") {
        let before = &name[..at];
        let word = &before[before.trim_end_matches(is_of_a_word).len()..];
        if !word.is_empty() && !before.trim_end_matches(is_of_a_word).ends_with("::") {
            crates.push(word);
        }
    }
    crates
}

/// The sizes of the libraries.
pub fn shipped(package: &Package) -> Result<String> {
    let size = |file: &str| length(&package.file(file)).map(|bytes| bytes as f64 / 1e6);
    let (archive, shared) = (size("lib/libiotda.a")?, size("lib/libiotda.so")?);
    Ok(format!(
        "libiotda as shipped: libiotda.a {archive:.2} MB, libiotda.so {shared:.2} MB. What is in the program that is \
         linked with it:"
    ))
}

/// Of the program that was linked with the installed library and stripped.
pub fn table(package: &Package, stripped: &Path) -> Result<String> {
    let total = length(stripped)?;
    // By name, since in an archive every function is at the address 0.
    let library = symbols(&package.file("lib/libiotda.a"))?.into_iter().map(|symbol| symbol.name).collect();
    let mut parts: BTreeMap<Part, u64> = BTreeMap::new();
    // By address, since a place can have several names.
    let program = symbols(&stripped.with_extension(""))?;
    let places: BTreeMap<String, Symbol> = program.into_iter().map(|s| (s.address.clone(), s)).collect();
    for symbol in places.into_values() {
        *parts.entry(Part::of(&symbol.name, &library)).or_default() += symbol.size;
    }
    let sections = sections(stripped)?;
    let of = |names: &[&str]| -> u64 { names.iter().filter_map(|name| sections.get(*name)).sum() };
    let named: u64 = parts.values().sum();
    let unwinding = of(&[".eh_frame", ".eh_frame_hdr", ".gcc_except_table"]);
    let constants = of(&[".text", ".rodata", ".data", ".data.rel.ro"]).saturating_sub(named);

    let mut table = Table::new(&["part of the program", "bytes"]);
    let mut row = |what: &str, bytes: u64| table.row(vec![what.to_owned(), number(bytes as f64, 0)]);
    for (part, what) in Part::ALL {
        row(what, parts.get(&part).copied().unwrap_or_default());
    }
    row("constants without a name: texts, tables of functions, the public authorities", constants);
    row("tables for unwinding, of all of it", unwinding);
    row("what the system's loader reads, and gaps", total.saturating_sub(named + constants + unwinding));
    row("all of it", total);
    for (options, what) in VARIANTS {
        let bytes = variant(options)?.map_or_else(|| NOTHING.to_owned(), |bytes| number(bytes as f64, 0));
        table.row(vec![what.to_owned(), bytes]);
    }
    Ok(table.markdown())
}

/// The length of the program that is linked with the library of these options; none where it cannot be built.
fn variant(options: &[&str]) -> Result<Option<u64>> {
    if options.contains(&OWN_STD) && own_std_is_missing() {
        return Ok(None);
    }
    let dir = target().join("bench/variant");
    fs::create_dir_all(&dir)?;
    length(&programs::libiotda(&Package::with(options)?, &dir)?).map(Some)
}

#[derive(Debug, PartialEq, Eq)]
struct Symbol {
    name: String,
    address: String,
    size: u64,
}

/// What a file holds under a name. Not what is zero when a program starts, of which a file holds nothing.
fn symbols(file: &Path) -> Result<Vec<Symbol>> {
    let mut nm = Command::new("nm");
    nm.args(["--defined-only", "--print-size", "--demangle", "--format=posix"]).arg(file);
    Ok(process::output(&mut nm)?.lines().filter_map(symbol).collect())
}

/// Of a line `name type address size`, where the name may hold spaces.
fn symbol(line: &str) -> Option<Symbol> {
    let mut words = line.rsplitn(4, ' ');
    let size = u64::from_str_radix(words.next()?, 16).ok()?;
    let address = words.next()?.to_owned();
    let kind = words.next()?;
    let name = words.next()?.to_owned();
    (size > 0 && !matches!(kind, "b" | "B")).then_some(Symbol { name, address, size })
}

/// How many functions of the module a program has that is not stripped, such as `iotda::outbox`.
///
/// What Rust's library does with a type of the module is none: one function can serve many types, under a name of any.
pub fn functions_of(module: &str, program: &Path) -> Result<usize> {
    let is_of_it = |symbol: &&Symbol| symbol.name.trim_start_matches('<').starts_with(module);
    Ok(symbols(program)?.iter().filter(is_of_it).count())
}

fn sections(file: &Path) -> Result<BTreeMap<String, u64>> {
    let listing = process::output(Command::new("size").arg("--format=sysv").arg(file))?;
    let section = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    Ok(listing.lines().filter_map(section).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_belongs_to_the_crate_whose_type_it_is_about() {
        let library = ["ecp_nistz256_precomputed", "iotda_auth", "__udivti3"].map(String::from).into();
        for (name, part) in [
            ("<rustls::error::Error as core::fmt::Debug>::fmt", Part::Tls),
            ("core::ptr::drop_in_place<alloc::vec::Vec<iotda::call::Call>>", Part::Libiotda),
            ("alloc::vec::Vec<T,A>::push", Part::Rust),
            ("std::backtrace_rs::symbolize::gimli::resolve", Part::Backtraces),
            ("<&mut gimli::read::Reader as core::fmt::Debug>::fmt", Part::Backtraces),
            ("ring::aead::seal", Part::Ring),
            ("ecp_nistz256_precomputed", Part::Ring),
            ("iotda_auth", Part::Libiotda),
            ("__udivti3", Part::Rust),
            ("httparse::parse_headers", Part::OtherCrates),
            ("main", Part::Program),
        ] {
            assert_eq!(Part::of(name, &library), part, "{name}");
        }
    }

    #[test]
    fn symbols_are_read_with_their_spaces() {
        let name = "<a::B as core::fmt::Debug>::fmt";
        let found = symbol(&format!("{name} t 0000000000001000 00000000000000fa")).unwrap();
        assert_eq!(found, Symbol { name: name.to_owned(), address: "0000000000001000".to_owned(), size: 250 });
        assert_eq!(symbol("errno B 0000000000001000 0000000000000004"), None);
        assert_eq!(symbol("write U"), None);
    }
}
