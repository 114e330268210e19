//! Serializer methods that refuse a type of the serde data model.
//!
//! A `serde::Serializer` has to have a method for every type. One that takes only a few lists the others:
//!
//! ```
//! use serde::Serialize;
//! use serde::ser::Error;
//!
//! struct OnlyText;
//!
//! impl serde::Serializer for OnlyText {
//!     type Ok = String;
//!     type Error = serde::de::value::Error;
//!
//!     fn serialize_str(self, text: &str) -> Result<String, Self::Error> {
//!         Ok(text.to_owned())
//!     }
//!
//!     serde_serializer_quick_unsupported::serializer_unsupported! {
//!         err = (Self::Error::custom("text was expected"));
//!         bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes none some unit unit_struct
//!         unit_variant newtype_struct newtype_variant seq tuple tuple_struct tuple_variant map struct
//!         struct_variant
//!     }
//! }
//!
//! let written = |outcome: Result<String, serde::de::value::Error>| outcome.map_err(|error| error.to_string());
//! assert_eq!(written("yes".serialize(OnlyText)), Ok("yes".to_owned()));
//! assert_eq!(written(1.serialize(OnlyText)), Err("text was expected".to_owned()));
//! assert_eq!(written([1].serialize(OnlyText)), Err("text was expected".to_owned()));
//! ```

#[doc(hidden)]
pub use serde;

/// Implements each listed method of `serde::Serializer` by returning the error.
#[macro_export]
macro_rules! serializer_unsupported {
    (err = ($error:expr); $($kind:tt)*) => {
        $($crate::unsupported_method! { $kind, $error })*
    };
}

/// One method, and the associated type that a compound type needs beside it.
#[doc(hidden)]
#[macro_export]
macro_rules! unsupported_method {
    (@value $error:expr, $method:ident $(<$generic:ident>)? ($($argument:ty),*)) => {
        fn $method $(<$generic: ?Sized + $crate::serde::Serialize>)? (
            self, $(_: $argument),*
        ) -> ::core::result::Result<Self::Ok, Self::Error> {
            ::core::result::Result::Err($error)
        }
    };
    (@compound $error:expr, $method:ident, $associated:ident ($($argument:ty),*)) => {
        type $associated = $crate::serde::ser::Impossible<Self::Ok, Self::Error>;
        fn $method(
            self, $(_: $argument),*
        ) -> ::core::result::Result<Self::$associated, Self::Error> {
            ::core::result::Result::Err($error)
        }
    };
    (bool, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_bool(bool) } };
    (i8, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_i8(i8) } };
    (i16, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_i16(i16) } };
    (i32, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_i32(i32) } };
    (i64, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_i64(i64) } };
    (i128, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_i128(i128) } };
    (u8, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_u8(u8) } };
    (u16, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_u16(u16) } };
    (u32, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_u32(u32) } };
    (u64, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_u64(u64) } };
    (u128, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_u128(u128) } };
    (f32, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_f32(f32) } };
    (f64, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_f64(f64) } };
    (char, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_char(char) } };
    (str, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_str(&str) } };
    (bytes, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_bytes(&[u8]) } };
    (none, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_none() } };
    (some, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_some<T>(&T) } };
    (unit, $error:expr) => { $crate::unsupported_method! { @value $error, serialize_unit() } };
    (unit_struct, $error:expr) => {
        $crate::unsupported_method! { @value $error, serialize_unit_struct(&'static str) }
    };
    (unit_variant, $error:expr) => {
        $crate::unsupported_method! { @value $error, serialize_unit_variant(&'static str, u32, &'static str) }
    };
    (newtype_struct, $error:expr) => {
        $crate::unsupported_method! { @value $error, serialize_newtype_struct<T>(&'static str, &T) }
    };
    (newtype_variant, $error:expr) => {
        $crate::unsupported_method! {
            @value $error, serialize_newtype_variant<T>(&'static str, u32, &'static str, &T)
        }
    };
    (seq, $error:expr) => {
        $crate::unsupported_method! {
            @compound $error, serialize_seq, SerializeSeq(::core::option::Option<usize>)
        }
    };
    (tuple, $error:expr) => {
        $crate::unsupported_method! { @compound $error, serialize_tuple, SerializeTuple(usize) }
    };
    (tuple_struct, $error:expr) => {
        $crate::unsupported_method! {
            @compound $error, serialize_tuple_struct, SerializeTupleStruct(&'static str, usize)
        }
    };
    (tuple_variant, $error:expr) => {
        $crate::unsupported_method! {
            @compound $error, serialize_tuple_variant,
            SerializeTupleVariant(&'static str, u32, &'static str, usize)
        }
    };
    (map, $error:expr) => {
        $crate::unsupported_method! {
            @compound $error, serialize_map, SerializeMap(::core::option::Option<usize>)
        }
    };
    (struct, $error:expr) => {
        $crate::unsupported_method! { @compound $error, serialize_struct, SerializeStruct(&'static str, usize) }
    };
    (struct_variant, $error:expr) => {
        $crate::unsupported_method! {
            @compound $error, serialize_struct_variant,
            SerializeStructVariant(&'static str, u32, &'static str, usize)
        }
    };
}
