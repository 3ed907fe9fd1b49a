//! A map written and read, leaf by leaf: for whoever keeps one to go on from.
//!
//! Absent: checking what is read; its root does that.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Map, MapValue};
use crate::hash::Hash;

/// Written as the sequence of its keys and values, as bytes.
impl<V: Serialize> Serialize for Map<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let leaves = self.buckets.iter().flat_map(|bucket| &bucket.leaves);
        let mut sequence = serializer.serialize_seq(Some(self.len))?;
        for (key, value) in leaves {
            sequence.serialize_element(&(key.0, value))?;
        }
        sequence.end()
    }
}

/// Read leaf by leaf, so that nothing is in memory twice.
impl<'de, V: MapValue + Deserialize<'de>> Deserialize<'de> for Map<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Leaves<V>(PhantomData<V>);
        impl<'de, V: MapValue + Deserialize<'de>> Visitor<'de> for Leaves<V> {
            type Value = Map<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("keys and values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut leaves: A) -> Result<Map<V>, A::Error> {
                let mut map = Map::default();
                while let Some((key, value)) = leaves.next_element()? {
                    map.set_leaf(Hash(key), value);
                }
                Ok(map)
            }
        }
        deserializer.deserialize_seq(Leaves(PhantomData))
    }
}
