//! Properties of any value that serde serializes (feature `serde`). serde_json writes them, but for what it would write
//! as something else: NaN and the infinities, of which it makes null, are refused.

use serde::Serialize;
use serde::ser::{self, Serializer};
use std::fmt::{self, Display};

use crate::error::{Error, Result};
use crate::report::json::fault::shown;
use crate::report::json::scan;
use crate::report::properties::check_finite;
use crate::report::service::Service;

impl<'a> Service<'a> {
    /// A service whose properties are those of a value: a struct, or a map with strings as keys.
    ///
    /// ```
    /// use iotda::Service;
    ///
    /// #[derive(serde::Serialize)]
    /// struct Weather {
    ///     #[serde(rename = "Temperature")]
    ///     temperature: f32,
    ///     #[serde(rename = "Raining", skip_serializing_if = "Option::is_none")]
    ///     raining: Option<bool>,
    /// }
    ///
    /// let service = Service::serialize("weather", &Weather { temperature: 21.5, raining: None })?;
    /// assert_eq!(service.properties, r#"{"Temperature":21.5}"#);
    /// # Ok::<(), iotda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument): the value is no object, a number in it is NaN or
    /// infinite, or it cannot be serialized as JSON.
    pub fn serialize<T: Serialize + ?Sized>(service_id: &'a str, properties: &T) -> Result<Self> {
        let mut numbers = Numbers::default();
        let json = match properties.serialize(&mut numbers) {
            Ok(()) => serde_json::to_string(properties).map_err(|error| Fault::Other(error.to_string())),
            Err(fault) => Err(fault),
        };
        let json = json.map_err(|fault| match fault {
            Fault::Number(error) => error,
            Fault::Other(message) => {
                Error::invalid(message).advising(&format!("make the properties of \"{}\" JSON", shown(service_id)))
            }
        })?;
        match scan::check(&json) {
            Ok(scan::Kind::Object) => Ok(Service::new(service_id, json)),
            Ok(other) => Err(Error::invalid(format!(
                "give a struct or a map: the properties of \"{}\" are serialized as {}",
                shown(service_id),
                other.name()
            ))),
            Err(fault) => Err(fault.error(&json, format_args!("the properties of \"{}\"", shown(service_id)))),
        }
    }
}

/// Writes nothing: looks at the numbers of a value.
#[derive(Default)]
struct Numbers {
    /// How many objects and arrays are around what comes next.
    depth: usize,
    /// The property that it belongs to.
    property: String,
}

impl Numbers {
    fn enter(&mut self) -> Result<&mut Self, Fault> {
        self.depth += 1;
        Ok(self)
    }

    fn leave(&mut self) -> Result<(), Fault> {
        self.depth -= 1;
        Ok(())
    }

    fn number(&self, value: f64) -> Result<(), Fault> {
        check_finite(&self.property, value).map_err(Fault::Number)
    }
}

/// Why a value cannot be written.
#[derive(Debug)]
enum Fault {
    Number(Error),
    Other(String),
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Number(error) => error.fmt(f),
            Fault::Other(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Fault {}

impl ser::Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Fault::Other(message.to_string())
    }
}

/// What has no number in it.
macro_rules! nothing {
    ($($name:ident($($argument:ty),*);)*) => {
        $(fn $name(self, $(_: $argument),*) -> Result<(), Fault> {
            Ok(())
        })*
    };
}

/// What holds other values: one method for each of them, and the end.
macro_rules! compound {
    ($($kind:ident: $method:ident;)*) => {
        $(impl ser::$kind for &mut Numbers {
            type Ok = ();
            type Error = Fault;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), Fault> {
                self.leave()
            }
        })*
    };
}

compound! {
    SerializeSeq: serialize_element;
    SerializeTuple: serialize_element;
    SerializeTupleStruct: serialize_field;
    SerializeTupleVariant: serialize_field;
}

/// The same, with names.
macro_rules! named {
    ($($kind:ident;)*) => {
        $(impl ser::$kind for &mut Numbers {
            type Ok = ();
            type Error = Fault;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Fault> {
                if self.depth == 1 {
                    key.clone_into(&mut self.property);
                }
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), Fault> {
                self.leave()
            }
        })*
    };
}

named! {
    SerializeStruct;
    SerializeStructVariant;
}

impl ser::SerializeMap for &mut Numbers {
    type Ok = ();
    type Error = Fault;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fault> {
        if self.depth == 1 {
            let key = serde_json::to_value(key).map_err(|error| Fault::Other(error.to_string()))?;
            self.property = key.as_str().unwrap_or_default().to_owned();
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), Fault> {
        self.leave()
    }
}

impl Serializer for &mut Numbers {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    nothing! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_f32(self, value: f32) -> Result<(), Fault> {
        self.number(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Fault> {
        self.number(value)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        // An object of one member.
        if self.depth == 0 {
            variant.clone_into(&mut self.property);
        }
        value.serialize(&mut *self.enter()?)?;
        self.leave()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Fault> {
        self.enter()
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Fault> {
        self.enter()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Fault> {
        self.enter()
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self, Fault> {
        self.enter()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Fault> {
        self.enter()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Fault> {
        self.enter()
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self, Fault> {
        self.enter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    #[derive(Serialize)]
    enum Position {
        Unknown,
        At(f64),
        Near { latitude: f64, names: (f32, Option<&'static str>) },
    }

    #[derive(Serialize)]
    struct Meters(f64);

    #[derive(Serialize)]
    struct Reading {
        speed: f32,
        count: u64,
        position: Position,
    }

    fn reading(position: Position) -> Reading {
        Reading { speed: 23.24, count: u64::MAX, position }
    }

    fn refusal<T: Serialize + ?Sized>(value: &T) -> String {
        let error = Service::serialize("s", value).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().len() < 256, "{error}");
        error.to_string()
    }

    #[test]
    fn a_value_is_written_as_serde_json_writes_it() {
        for position in
            [Position::Unknown, Position::At(0.1), Position::Near { latitude: 0.1, names: (0.1, Some("a\"b")) }]
        {
            let reading = reading(position);
            let service = Service::serialize("s", &reading).unwrap();
            assert_eq!(service.properties, serde_json::to_string(&reading).unwrap());
            crate::Client::check_properties(&[service]).unwrap();
        }
        let map = BTreeMap::from([(1, Some(Value::Null)), (2, None)]);
        assert_eq!(Service::serialize("s", &map).unwrap().properties, r#"{"1":null,"2":null}"#);
    }

    /// A member that is a map with members of its own, and one behind it.
    fn json_and_number(number: f64) -> impl Serialize {
        #[derive(Serialize)]
        struct Both {
            a: BTreeMap<&'static str, f64>,
            z: f64,
        }
        Both { a: BTreeMap::from([("inner", 1.0)]), z: number }
    }

    #[test]
    fn what_json_has_no_number_for_is_refused_with_its_property() {
        let near = |latitude, first| reading(Position::Near { latitude, names: (first, None) });
        for (refusal, property, value) in [
            (refusal(&Reading { speed: f32::NAN, ..reading(Position::Unknown) }), "speed", "NaN"),
            (refusal(&reading(Position::At(f64::INFINITY))), "position", "inf"),
            (refusal(&near(f64::NEG_INFINITY, 0.0)), "position", "-inf"),
            (refusal(&near(0.0, f32::NAN)), "position", "NaN"),
            (refusal(&BTreeMap::from([("a", vec![1.0]), ("b", vec![1.0, f64::NAN])])), "b", "NaN"),
            (refusal(&Position::At(f64::NAN)), "At", "NaN"),
            (refusal(&BTreeMap::from([("a", Some(1.0)), ("b", Some(f64::NAN))])), "b", "NaN"),
            (refusal(&BTreeMap::from([("a", Meters(1.0)), ("b", Meters(f64::NAN))])), "b", "NaN"),
            // Behind a map that has ended.
            (refusal(&json_and_number(f64::NAN)), "z", "NaN"),
        ] {
            assert!(refusal.starts_with(&format!("leave out the property \"{property}\"")), "{refusal}");
            assert!(refusal.contains(&format!("it is {value},")), "{refusal}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for (value, what) in [(json!([1]), "an array"), (json!(1), "a number"), (json!(null), "true, false or null")] {
            assert_eq!(
                refusal(&value),
                format!("give a struct or a map: the properties of \"s\" are serialized as {what}")
            );
        }
        let message = refusal(&BTreeMap::from([([1, 2], 3)]));
        assert!(message.starts_with("make the properties of \"s\" JSON; "), "{message}");
    }

    #[test]
    fn what_serialize_itself_refuses_is_said() {
        struct Refuses;
        impl Serialize for Refuses {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(ser::Error::custom("no reading yet".repeat(40)))
            }
        }
        assert!(refusal(&Refuses).starts_with("make the properties of \"s\" JSON; no reading yet"));
        assert!(refusal(&BTreeMap::from([("a", Refuses)])).contains("no reading yet"));
        let mut deep = json!({});
        for _ in 0..128 {
            deep = json!({ "a": deep });
        }
        assert!(refusal(&deep).contains("128 levels"), "{}", refusal(&deep));
    }
}
