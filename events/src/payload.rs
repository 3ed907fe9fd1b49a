//! Payloads: what each event says beyond its header.
//!
//! Invariants: fields stand in ascending order of their names and optional ones are left out when absent, so that
//! serialising a payload gives its canonical bytes (format.md, Entry); unknown fields are refused; no field holds a
//! float; whatever may have to be erased is [`Sealed`](crate::Sealed).
//! Absent: any rule about when an act is permitted (that is the rulebook's and the deciding modules').

/// Declares a payload: its derives, and the walk over its sealed values.
macro_rules! payload {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[serde_with::skip_serializing_none]
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }

        impl $crate::Seal for $name {
            fn each_sealed(&mut self, visit: &mut dyn FnMut(&mut $crate::Sealed)) {
                $($crate::Seal::each_sealed(&mut self.$field, visit);)*
                let _ = visit;
            }
        }
    };
}

/// Declares a payload's closed list of codes, written in snake case.
macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident $zh:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_meta])* $variant,)* }

        impl $name {
            /// Returns the word shown on a Chinese page.
            pub fn zh(self) -> &'static str {
                match self { $(Self::$variant => $zh,)* }
            }

            /// Returns the word shown on a page: in English the code's own words.
            pub fn label(self, language: weituo_proof::Language) -> String {
                match language {
                    weituo_proof::Language::Zh => self.zh().to_owned(),
                    weituo_proof::Language::En => crate::payload::spaced(&format!("{self:?}")),
                }
            }
        }

        impl $crate::Seal for $name {
            fn each_sealed(&mut self, _: &mut dyn FnMut(&mut $crate::Sealed)) {}
        }
    };
}

/// Returns `PublicSchool` as `public school`.
fn spaced(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

mod common;
mod course;
mod ending;
mod group;
mod log;
mod money;
mod redress;
mod registry;
mod start;

pub use common::*;
pub use course::*;
pub use ending::*;
pub use group::*;
pub use log::*;
pub use money::*;
pub use redress::*;
pub use registry::*;
pub use start::*;
