//! Product models in the shapes of real files: what QueryProduct answers, what the console exports and people pack again,
//! and what editors and archivers make of both. Each is used for reports that fit it and reports that do not.

use crate::device::{Connection, now};
use crate::inspection::call;
use crate::program::Directory;
use iotda_platform::{Device, Platform, Product, Registry};
use std::path::PathBuf;

/// As the application API answers QueryProduct: bounds are strings, of a type that they mean something for or not, a
/// default value may be an object, commands and events have parameters of the same form as properties.
const QUERIED: &str = r#"{
  "app_id" : "jeQDJQZltU8iKgFFoW060F5SGZka",
  "app_name" : "testAPP01",
  "product_id" : "5ba24f5ebbe8f56f5a14f605",
  "name" : "\u70df\u611f",
  "device_type" : "\u70df\u611f",
  "protocol_type" : "MQTT",
  "data_format" : "json",
  "manufacturer_name" : null,
  "industry" : null,
  "description" : "",
  "service_capabilities" : [ {
    "service_id" : "smoke",
    "service_type" : "smoke",
    "properties" : [ {
      "property_name" : "level",
      "required" : true,
      "data_type" : "decimal",
      "enum_list" : null,
      "min" : "0.0",
      "max" : "100.0",
      "max_length" : 100,
      "step" : 0.1,
      "unit" : "%",
      "method" : "RW",
      "description" : "smoke",
      "default_value" : { "color" : "red", "size" : 1 }
    }, {
      "property_name" : "state",
      "required" : false,
      "data_type" : "enum",
      "enum_list" : [ "\u6b63\u5e38", "ALARM" ],
      "min" : null,
      "max" : null,
      "max_length" : 0,
      "step" : 0.0,
      "unit" : null,
      "method" : "R",
      "description" : null,
      "default_value" : null
    }, {
      "property_name" : "version",
      "required" : false,
      "data_type" : "string",
      "enum_list" : [ ],
      "min" : "1",
      "max" : "2147483646",
      "max_length" : 8,
      "step" : 0.0,
      "unit" : "",
      "method" : "R",
      "description" : "",
      "default_value" : null
    } ],
    "commands" : [ {
      "command_name" : "reboot",
      "paras" : [ { "para_name" : "force", "required" : false, "data_type" : "string", "enum_list" : null, "min" : "1" } ],
      "responses" : [ { "response_name" : "ACK", "paras" : null } ]
    } ],
    "events" : [ { "event_type" : "reboot", "paras" : [ ] } ],
    "description" : "smoke",
    "option" : "Mandatory"
  }, {
    "service_id" : "commands",
    "service_type" : "commands",
    "properties" : null,
    "commands" : null,
    "events" : null,
    "description" : null,
    "option" : "Optional"
  } ],
  "create_time" : "20190303T081011Z"
}"#;

/// As the console writes it: one line, `0.0` for a step that is none, `extendparam`, an empty option, no device's events.
const DEVICE: &str = r#"{"devices":[{"manufacturerName":"acme","manufacturerId":"cb09","model":"detector","protocolType":"MQTT","deviceType":"detector","serviceTypeCapabilities":[{"serviceId":"smoke","serviceType":"smokeDetector","option":""}],"omCapability":null}]}"#;
const SERVICE: &str = r#"{"services":[{"serviceType":"smokeDetector","description":"","commands":[{"commandName":"ring","paras":[{"paraName":"duration","dataType":"int","required":false,"min":"0","max":"65535","step":0.0,"maxLength":0,"unit":null,"enumList":null,"extendparam":null}],"responses":[]}],"properties":[{"propertyName":"level","dataType":"decimal","required":true,"min":"0.0","max":"100.0","step":0.0,"maxLength":0,"method":"R","unit":null,"enumList":null,"extendparam":null},{"propertyName":"state","dataType":"enum","required":true,"min":"0","max":"65535","step":0.0,"maxLength":0,"method":"R","unit":null,"enumList":["正常","ALARM"],"extendparam":null},{"propertyName":"version","dataType":"string","required":true,"min":"0","max":"0","step":0.0,"maxLength":8,"method":"RWE","unit":null,"enumList":[],"extendparam":null}],"events":[]}]}"#;

/// The text is UTF-8.
const UTF_8: u16 = 1 << 11;
/// The sizes are behind the data, as Java writes them.
const SIZES_BEHIND: u16 = 1 << 3;

/// A zip of entries that are stored: flags, name, extra field and contents.
fn zip(entries: &[(u16, &[u8], &[u8], &str)]) -> Vec<u8> {
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    let long = |number: usize| u32::try_from(number).expect("a small zip").to_le_bytes();
    let short = |number: usize| u16::try_from(number).expect("a small zip").to_le_bytes();
    for (flags, name, extra, content) in entries {
        let sizes = [long(content.len()), long(content.len())].concat();
        let checksum = [0; 4];
        let start = long(zip.len());
        let common = |sizes: &[u8]| {
            let lengths = [short(name.len()), short(extra.len())].concat();
            [&20_u16.to_le_bytes()[..], &flags.to_le_bytes(), &[0; 6], &checksum, sizes, &lengths].concat()
        };
        let first = if flags & SIZES_BEHIND == 0 { &sizes[..] } else { &[0; 8] };
        zip.extend([b"PK\x03\x04", &common(first)[..], name, extra, content.as_bytes()].concat());
        if flags & SIZES_BEHIND != 0 {
            zip.extend([b"PK\x07\x08", &checksum[..], &sizes].concat());
        }
        directory.extend([b"PK\x01\x02\x14\x00", &common(&sizes)[..], &[0; 10], &start, name, extra].concat());
    }
    let start = long(zip.len());
    let count = short(entries.len());
    let end = [&[0; 4][..], &count, &count, &long(directory.len()), &start, &[0; 2]].concat();
    [&zip[..], &directory, b"PK\x05\x06", &end].concat()
}

/// Reports what fits the model above, and what does not, to a platform that has it.
fn is_held_to(product: Product) {
    let mut registry = Registry::new();
    registry.add_product(product).expect("a new product");
    registry.add_device(Device::new("p_1").with_product("p").with_secret("secret")).expect("a new device");
    let platform = Platform::builder().registry(registry).clock_stopped_at(now()).start().expect("a platform");
    is_held_to_by(&platform);
}

fn is_held_to_by(platform: &Platform) {
    let mut connection = Connection::open(platform);
    let token = connection.token("p_1");
    for (properties, expected) in [
        (r#"{"level":0,"state":"正常","version":"1.0"}"#, None),
        (r#"{"level":100.0,"state":"ALARM","version":"12345678"}"#, None),
        (r#"{"level":100.5}"#, Some("100 or less")),
        (r#"{"level":"50"}"#, Some("a number")),
        (r#"{"state":"alarm"}"#, Some("one of 正常, ALARM")),
        (r#"{"version":"123456789"}"#, Some("8 characters")),
        (r#"{"humidity":1}"#, Some("no property \"humidity\"")),
    ] {
        let body = format!(r#"{{"services":[{{"service_id":"smoke","properties":{properties}}}]}}"#);
        assert_eq!(connection.properties("p_1", &token, &body).status, 200, "{properties}");
        let discarded = platform.requests().pop().expect("a request").discarded;
        match expected {
            Some(text) => {
                assert!(discarded.as_ref().is_some_and(|it| it.contains(text)), "{properties}: {discarded:?}")
            }
            None => assert_eq!(discarded, None, "{properties}"),
        }
    }
}

#[test]
fn what_query_product_answers() {
    let files = Directory::new("models-queried");
    let with_mark = format!("\u{feff}{}", QUERIED.replace('\n', "\r\n"));
    for (name, text) in [("plain.json", QUERIED), ("of an editor.json", &with_mark)] {
        let path = files.write(name, text);
        is_held_to(Product::from_model_file("p", path).expect("a model"));

        // The same as the body of CreateProduct.
        let platform = Platform::builder().clock_stopped_at(now()).start().expect("a platform");
        let (status, created) = call(platform.inspection_url(), "POST", "/products", text);
        assert_eq!((status, &created["product_id"]), (201, &"5ba24f5ebbe8f56f5a14f605".into()), "{name}");
        let device = r#"{"product_id":"5ba24f5ebbe8f56f5a14f605","node_id":"1","device_id":"p_1","secret":"secret"}"#;
        assert_eq!(call(platform.inspection_url(), "POST", "/devices", device).0, 201);
        is_held_to_by(&platform);
    }
    let bare = files.write("bare.json", br#"{"product_id":"p","service_capabilities":null}"#);
    assert_eq!(Product::from_model_file("p", bare).ok(), Some(Product::new("p")));
}

#[test]
fn what_the_console_exports_and_people_pack_again() {
    let files = Directory::new("models-exported");
    let device = "profile/devicetype-capability.json";
    let service = "service/smokeDetector/profile/servicetype-capability.json";
    let times = [&[10, 0, 32, 0][..], &[0; 32]].concat();
    let exported = [
        (UTF_8 | SIZES_BEHIND, service.as_bytes(), &[][..], SERVICE),
        (UTF_8 | SIZES_BEHIND, device.as_bytes(), &[], DEVICE),
    ];
    // The folder was unpacked, and put into the zip beside what was there.
    let (top, of_device, of_service) = (
        "detector_cb09_detector/",
        format!("detector_cb09_detector/{device}"),
        format!("detector_cb09_detector/{service}"),
    );
    let again = [
        (0, top.as_bytes(), &times[..], ""),
        (0, of_device.as_bytes(), &times, DEVICE),
        (0, of_service.as_bytes(), &times, SERVICE),
    ];
    // Of a Windows whose names are in GBK, where the second byte of a character may be that of a backslash.
    let of_windows = [
        (0, &b"\xd1\xcc\xb8\xd0\x81\\\\profile\\devicetype-capability.json"[..], &[][..], DEVICE),
        (0, b"\xd1\xcc\xb8\xd0\x81\\\\service\\\xd1\xcc\\profile\\servicetype-capability.json", &[], SERVICE),
    ];
    // Of a Mac, which adds files of its own.
    let of_a_mac = [
        (0, &b"__MACOSX/profile/._devicetype-capability.json"[..], &[][..], "Mac OS X\0"),
        (0, b"profile/.DS_Store", &[], "\0"),
        (UTF_8, "烟感/profile/devicetype-capability.json".as_bytes(), &[], DEVICE),
        (UTF_8, "烟感/service/烟/profile/servicetype-capability.json".as_bytes(), &[], SERVICE),
    ];
    for (name, bytes) in [
        ("exported.zip", zip(&exported)),
        ("again.zip", zip(&[&exported[..], &again].concat())),
        ("of windows.zip", zip(&of_windows)),
        ("of a mac.zip", zip(&of_a_mac)),
    ] {
        let path = files.write(name, &bytes);
        is_held_to(Product::from_model_file("p", path).unwrap_or_else(|error| panic!("{error}")));
    }

    // Unpacked, named as the manual's text writes it, and saved by an editor.
    let editor = |text: &str| format!("\u{feff}{}\r\n", text.replace(",", ",\r\n  "));
    files.write("folder/烟感/Profile/devicetype-capability.json", editor(DEVICE));
    files.write("folder/烟感/Service/烟/profile/serviceType-capability.json", editor(SERVICE));
    is_held_to(Product::from_model_file("p", files.0.join("folder")).expect("a model"));
}

#[test]
fn what_contradicts_itself_or_is_a_part_is_refused() {
    let files = Directory::new("models-refused");
    let error = |path: PathBuf| Product::from_model_file("p", path).expect_err("an error").to_string();
    files.write("folder/profile/devicetype-capability.json", DEVICE);
    let part = files.write("folder/service/a/profile/servicetype-capability.json", SERVICE);
    let other = SERVICE.replace("\"max\":\"100.0\"", "\"max\":\"90\"");
    files.write("folder/service/b/profile/servicetype-capability.json", other);
    let text = error(files.0.join("folder"));
    assert!(text.contains("differ in service type \"smokeDetector\"") && text.contains("service/a/"), "{text}");
    assert!(text.contains("service/b/"), "{text}");
    assert!(error(part).contains("give the folder or the zip"));
    let listed = DEVICE.replace("\"serviceType\":\"smokeDetector\"", "\"serviceType\":\"other\"");
    let second = SERVICE.replace("smokeDetector", "other").replace("100.0", "90");
    files.write("two/a/devicetype-capability.json", DEVICE);
    files.write("two/b/devicetype-capability.json", listed);
    files.write("two/a/servicetype-capability.json", SERVICE);
    files.write("two/b/servicetype-capability.json", second);
    assert!(error(files.0.join("two")).contains("\"smoke\" is there twice"));
}
