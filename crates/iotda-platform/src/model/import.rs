//! A product's model in the vendor's own forms: the JSON of the application API (CreateProduct, and what QueryProduct
//! answers), and what the console exports, a folder or a zip of a `devicetype-capability.json`, which names the
//! services, and a `servicetype-capability.json` for each type of service.

use super::{Product, Property, archive};
use crate::Error;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

impl Product {
    /// A product with the model of a file: the application API's JSON, or what the console exports, as a zip or a folder.
    pub fn from_model_file(id: impl Into<String>, path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        read(id.into(), path).map_err(|error| Error::new(format!("the product model {}: {error}", path.display())))
    }

    /// A product with the model of the application API: an object with `service_capabilities`.
    pub(crate) fn from_service_capabilities(id: &str, model: &Map<String, Value>) -> Result<Self, String> {
        let mut product = Product::new(id);
        for service in list(model, "service_capabilities")? {
            let service_id = text(service, "service_id")?;
            let properties = properties(service, &Names::OF_API).map_err(|error| format!("{service_id}: {error}"))?;
            product.add_service(service_id, properties).map_err(|error| error.to_string())?;
        }
        Ok(product)
    }
}

fn read(id: String, path: &Path) -> Result<Product, String> {
    let files = if path.is_dir() {
        folder(path).map_err(|error| format!("it cannot be read: {error}"))?
    } else {
        let bytes = std::fs::read(path).map_err(|error| format!("it cannot be read: {error}"))?;
        if bytes.starts_with(b"PK") {
            archive::files(&bytes)?
        } else {
            let json = object(&bytes)?;
            if json.contains_key("devices") || json.contains_key("services") {
                return Err("give the folder or the zip that it is from: it is one file of an export".to_owned());
            }
            return Product::from_service_capabilities(&id, &json);
        }
    };
    exported(id, &files)
}

/// The model of an exported folder: names of files, and their contents. Exports are packed again with their first form
/// beside it, so that the same may be there twice; what differs may not.
fn exported(id: String, files: &[(String, Vec<u8>)]) -> Result<Product, String> {
    let named = |name: &'static str| {
        let is_it = move |path: &str| path.rsplit(['/', '\\']).next().is_some_and(|it| it.eq_ignore_ascii_case(name));
        files.iter().filter(move |(path, _)| is_it(path))
    };
    let mut types: BTreeMap<_, (_, &str)> = BTreeMap::new();
    for (path, bytes) in named("servicetype-capability.json") {
        let json = object(bytes).map_err(|error| format!("{path}: {error}"))?;
        for service in list(&json, "services")? {
            let properties = properties(service, &Names::OF_EXPORT).map_err(|error| format!("{path}: {error}"))?;
            let service_type = text(service, "serviceType")?.to_owned();
            if let Some((_, other)) = types.get(&service_type).filter(|(it, _)| *it != properties) {
                return Err(format!("remove one of {other} and {path}: they differ in service type {service_type:?}"));
            }
            types.insert(service_type, (properties, path));
        }
    }
    let mut product = Product::new(id);
    for (path, bytes) in named("devicetype-capability.json") {
        let json = object(bytes).map_err(|error| format!("{path}: {error}"))?;
        for device in list(&json, "devices")? {
            for service in list(device, "serviceTypeCapabilities")? {
                let (service_id, service_type) = (text(service, "serviceId")?, text(service, "serviceType")?);
                let (properties, _) = types.get(service_type).ok_or_else(|| {
                    format!(
                        "service {service_id:?} is of type {service_type:?}, and no servicetype-capability.json has it"
                    )
                })?;
                if product.services.get(service_id).is_none_or(|it| it.properties != *properties) {
                    product.add_service(service_id, properties.clone()).map_err(|error| error.to_string())?;
                }
            }
        }
    }
    if product.services.is_empty() {
        return Err("there is no devicetype-capability.json with a service in it".to_owned());
    }
    Ok(product)
}

/// How the members of a property are called.
struct Names {
    name: &'static str,
    data_type: &'static str,
    max_length: &'static str,
    enum_list: &'static str,
}

impl Names {
    const OF_API: Self =
        Self { name: "property_name", data_type: "data_type", max_length: "max_length", enum_list: "enum_list" };
    const OF_EXPORT: Self =
        Self { name: "propertyName", data_type: "dataType", max_length: "maxLength", enum_list: "enumList" };
}

/// A service may be without properties: it has commands alone.
fn properties(service: &Map<String, Value>, names: &Names) -> Result<BTreeMap<String, Property>, String> {
    let mut properties = BTreeMap::new();
    if !service.contains_key("properties") {
        return Ok(properties);
    }
    for property in list(service, "properties")? {
        let name = text(property, names.name)?;
        let read = read_property(property, names).map_err(|error| format!("property {name:?}: {error}"))?;
        properties.insert(name.to_owned(), read);
    }
    Ok(properties)
}

fn read_property(property: &Map<String, Value>, names: &Names) -> Result<Property, String> {
    let data_type = property.get(names.data_type).cloned().unwrap_or_default();
    let data_type = serde_json::from_value(data_type).map_err(|error| format!("{}: {error}", names.data_type))?;
    let enum_list = match property.get(names.enum_list) {
        None | Some(Value::Null) => Vec::new(),
        Some(list) => serde_json::from_value(list.clone()).map_err(|error| format!("{}: {error}", names.enum_list))?,
    };
    // For other types these are there too, with values that mean nothing.
    let numeric = matches!(data_type, super::DataType::Int | super::DataType::Long | super::DataType::Decimal);
    let bound = |name| if numeric { number(property, name) } else { Ok(None) };
    let length = if numeric { None } else { number(property, names.max_length)? };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length that is none is no limit")]
    let max_length = length.filter(|length| *length >= 1.0).map(|length| length as usize);
    Ok(Property { data_type, min: bound("min")?, max: bound("max")?, max_length, enum_list })
}

/// A number that may be written as a string.
fn number(object: &Map<String, Value>, name: &str) -> Result<Option<f64>, String> {
    let wrong = || format!("{name} is no number");
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => number.as_f64().map(Some).ok_or_else(wrong),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|_| wrong()),
        Some(_) => Err(wrong()),
    }
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    serde_json::from_slice(without_mark(bytes)).map_err(|error| format!("it is no JSON object: {error}"))
}

/// The text without the mark that some editors put before UTF-8, and that JSON does not have.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// A list of objects. The platform writes `null` for an empty one.
fn list<'a>(object: &'a Map<String, Value>, name: &str) -> Result<Vec<&'a Map<String, Value>>, String> {
    let list = match object.get(name) {
        Some(Value::Array(list)) => list.as_slice(),
        Some(Value::Null) => &[],
        _ => return Err(format!("there is no list {name:?} in it")),
    };
    let entry = |entry: &'a Value| entry.as_object().ok_or_else(|| format!("{name:?} has an entry that is no object"));
    list.iter().map(entry).collect()
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    object.get(name).and_then(Value::as_str).ok_or_else(|| format!("there is no string {name:?} in it"))
}

/// How deep a folder is looked through, and how many files of it are read.
const DEPTH: usize = 6;

fn folder(path: &Path) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    let mut folders = vec![(path.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() && depth < DEPTH {
                folders.push((path, depth + 1));
            } else if path.to_string_lossy().to_ascii_lowercase().ends_with("-capability.json") {
                files.push((path.to_string_lossy().into_owned(), std::fs::read(&path)?));
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The shape of the vendor's example of QueryProduct, with one of each type.
    const OF_API: &str = r#"{"app_id":"a","product_id":"5ba24f5ebbe8f56f5a14f605","name":"Thermometer","device_type":"Thermometer",
        "protocol_type":"CoAP","data_format":"binary","service_capabilities":[{"service_id":"temperature","service_type":"temperature",
        "properties":[
            {"property_name":"temperature","required":true,"data_type":"decimal","enum_list":null,"min":"-40","max":"85.5","max_length":0,"step":0.1,"unit":"centigrade","method":"R","description":"force"},
            {"property_name":"mode","required":false,"data_type":"enum","enum_list":["OPEN","CLOSE"],"min":"1","max":"100","max_length":100,"method":"RW"},
            {"property_name":"count","data_type":"int","min":0,"max":10},
            {"property_name":"name","data_type":"string","max_length":4},
            {"property_name":"at","data_type":"DateTime"},{"property_name":"big","data_type":"long"},
            {"property_name":"on","data_type":"boolean"},{"property_name":"more","data_type":"jsonObject"},
            {"property_name":"list","data_type":"string list"}],
        "commands":[{"command_name":"reboot","paras":[]}],"events":[],"option":"Mandatory"},
        {"service_id":"commands","service_type":"commands","properties":null}]}"#;

    const OF_DEVICE: &str = r#"{"devices":[{"manufacturerId":"m","manufacturerName":"n","model":"w","protocolType":"MQTT",
        "deviceType":"WaterMeter","serviceTypeCapabilities":[{"serviceId":"Main","serviceType":"WaterMeterBasic","option":"Mandatory"}]}]}"#;
    const OF_SERVICE: &str = r#"{"services":[{"serviceType":"WaterMeterBasic","description":"d","commands":null,"properties":[
        {"propertyName":"registerFlow","dataType":"int","required":true,"min":"0","max":"100","step":1,"maxLength":0,"method":"R","unit":null,"enumList":null}]}]}"#;

    fn says(product: &Product, service: &str, name: &str, value: Value) -> String {
        product.check(service, &[(name.to_owned(), value)]).err().unwrap_or_default()
    }

    #[test]
    fn the_application_api_s_form() {
        let json = object(OF_API.as_bytes()).expect("JSON");
        let product = Product::from_service_capabilities("p", &json).expect("a model");
        for (name, good, bad, expected) in [
            ("temperature", json!(85.5), json!(86), "85.5 or less"),
            ("temperature", json!(-40), json!(-41), "-40 or more"),
            ("mode", json!("OPEN"), json!("open"), "one of OPEN, CLOSE"),
            ("count", json!(10), json!(11), "10 or less"),
            ("name", json!("four"), json!("fives"), "4 characters"),
            ("at", json!("20151212T121212Z"), json!(1), "a string"),
            ("big", json!(1_i64 << 40), json!(1.5), "64 bits"),
            ("on", json!(true), json!("true"), "true or false"),
            ("more", json!({}), json!([]), "a JSON object"),
            ("list", json!(["a"]), json!([1]), "an array of strings"),
        ] {
            assert_eq!(says(&product, "temperature", name, good), "", "{name}");
            assert!(says(&product, "temperature", name, bad).contains(expected), "{name}");
        }
        assert!(says(&product, "commands", "any", json!(1)).contains("no property"));
    }

    #[test]
    fn the_console_s_export() {
        let files = |service: &str| {
            vec![
                ("Water_profile/profile/devicetype-capability.json".to_owned(), OF_DEVICE.as_bytes().to_vec()),
                (
                    "Water_profile/service/Basic/profile/servicetype-capability.json".to_owned(),
                    service.as_bytes().to_vec(),
                ),
            ]
        };
        let product = exported("p".to_owned(), &files(OF_SERVICE)).expect("a model");
        assert_eq!(says(&product, "Main", "registerFlow", json!(100)), "");
        assert!(says(&product, "Main", "registerFlow", json!(101)).contains("100 or less"));
        assert!(says(&product, "WaterMeterBasic", "registerFlow", json!(1)).contains("no service"));
        let renamed = OF_SERVICE.replace("WaterMeterBasic", "Other");
        assert!(exported("p".to_owned(), &files(&renamed)).expect_err("no type").contains("\"WaterMeterBasic\""));
        assert!(exported("p".to_owned(), &[]).expect_err("no files").contains("devicetype-capability.json"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (from, to, expected) in [
            ("\"decimal\"", "\"float\"", "property \"temperature\": data_type"),
            ("\"85.5\"", "\"warm\"", "max is no number"),
            ("service_capabilities", "services", "\"service_capabilities\""),
            ("\"property_name\":\"mode\"", "\"name\":\"mode\"", "\"property_name\""),
        ] {
            let json = object(OF_API.replace(from, to).as_bytes()).expect("JSON");
            let error = Product::from_service_capabilities("p", &json).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
        let error = Product::from_model_file("p", "/nowhere/model.json").expect_err("no file").to_string();
        assert!(error.contains("/nowhere/model.json"), "{error}");
    }
}
