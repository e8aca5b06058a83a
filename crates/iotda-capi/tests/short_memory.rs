//! Memory that is short where the caller's data asks for much: an error, and never the end of the process.
//!
//! The allocator of this program refuses what is larger than the test allows, on the test's thread alone.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::null_mut;
use std::sync::Arc;
use std::time::Duration;

use iotda::{CallOptions, Child, Client, Config, ErrorKind, Service, Transport};
use iotda_capi::props::{
    iotda_props_add_integer, iotda_props_add_string, iotda_props_clear, iotda_props_free, iotda_props_json,
    iotda_props_new, iotda_props_t,
};
use iotda_capi::status::{IOTDA_E_INTERNAL, IOTDA_OK};

struct Short;

#[global_allocator]
static ALLOCATOR: Short = Short;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(usize::MAX) };
}

// SAFETY: System's own functions, or NULL, which says that there is no memory.
unsafe impl GlobalAlloc for Short {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        if layout.size() > LARGEST.get() { null_mut() } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        if size > LARGEST.get() { null_mut() } else { unsafe { System.realloc(pointer, layout, size) } }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs `body` on a machine that has no more than `largest` bytes in one piece.
fn with_pieces_of<T>(largest: usize, body: impl FnOnce() -> T) -> T {
    LARGEST.set(largest);
    let result = body();
    LARGEST.set(usize::MAX);
    result
}

fn json(props: *const iotda_props_t) -> String {
    // SAFETY: the builder is alive, and its text terminated.
    unsafe { CStr::from_ptr(iotda_props_json(props)) }.to_str().unwrap().to_owned()
}

/// Adds members until one is refused, and returns how many were not.
fn fill(props: *mut iotda_props_t, largest: usize) -> usize {
    let names: Vec<_> = (0..5000).map(|number| CString::new(format!("p{number}")).unwrap()).collect();
    // SAFETY: the builder is alive, and the names are terminated.
    let add = |name: &CString| unsafe { iotda_props_add_integer(props, name.as_ptr(), 1) };
    with_pieces_of(largest, || {
        let taken = names.iter().take_while(|name| add(name) == IOTDA_OK).count();
        assert_eq!(add(&names[taken]), IOTDA_E_INTERNAL);
        taken
    })
}

#[test]
fn a_builder_that_finds_no_memory_keeps_what_it_has() {
    let expected = |count: usize| {
        let members: Vec<_> = (0..count).map(|number| format!("\"p{number}\":1")).collect();
        format!("{{{}}}", members.join(","))
    };
    let props = iotda_props_new();
    let taken = fill(props, 20_000);
    assert!((1000..4000).contains(&taken), "{taken}");
    assert_eq!(json(props), expected(taken));

    // With room for the text, it is the table of names that lacks it.
    let long = CString::new("x".repeat(200_000)).unwrap();
    // SAFETY: the builder is alive, and the texts are terminated.
    unsafe {
        iotda_props_clear(props);
        assert_eq!(iotda_props_add_string(props, c"long".as_ptr(), long.as_ptr()), IOTDA_OK);
        iotda_props_clear(props);
    }
    let taken = fill(props, 15_000);
    assert!((1000..4500).contains(&taken), "{taken}");
    assert_eq!(json(props), expected(taken));
    // SAFETY: made above, and freed once.
    unsafe { iotda_props_free(props) };
}

/// A way to nowhere that needs no authority.
#[derive(Debug)]
struct Nowhere;

impl Transport for Nowhere {
    fn connect(
        &self,
        _: &str,
        _: u16,
        _: Duration,
        _: Option<BorrowedFd<'_>>,
    ) -> io::Result<Box<dyn iotda::Connection>> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    fn is_secure(&self) -> bool {
        true
    }
}

#[test]
fn reports_that_find_no_memory_are_refused() {
    let mut config = Config::new();
    config.endpoint("https://127.0.0.1:1").unwrap().device("gateway", b"secret").unwrap();
    config.transport(Arc::new(Nowhere));
    let client = Client::new(&config).unwrap();
    let properties = format!("{{\"s\":\"{}\"}}", "x".repeat(200_000));
    let services = [Service::new("s", &properties)];
    let children = [Child::new("c", &services)];
    let child = r#"{"device_id":"c","services":[{"service_id":"s","properties":{}}]}"#;
    let batch = format!("{{\"devices\":[{}]}}", vec![child; 10_000].join(","));
    let errors = with_pieces_of(100_000, || {
        [
            client.report_properties(&services, CallOptions::new()).unwrap_err(),
            client.report_batch(&children, CallOptions::new()).unwrap_err().into(),
            client.report_batch_json(&batch, CallOptions::new()).unwrap_err().into(),
        ]
    });
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
        assert!(error.message().contains("no memory"), "{error}");
    }
}
