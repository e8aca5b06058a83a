//! A table in the order of its keys, in one vector: what the outbox looks up by a number. Beside the tables of Rust's
//! library, which bring 30 kB of code for the types here, it costs a copy of what stands behind a new key; keys here are
//! few, or come in their order.

use std::cmp::Ordering;

/// A table whose keys are in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sorted<K, V>(Vec<(K, V)>);

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Sorted(Vec::new())
    }
}

impl<K: Ord + Copy, V> Sorted<K, V> {
    fn place(&self, key: &K) -> Result<usize, usize> {
        // New keys come at the end, and many a table has one row.
        match self.0.last().map(|(last, _)| last.cmp(key)) {
            Some(Ordering::Less) => Err(self.0.len()),
            Some(Ordering::Equal) => Ok(self.0.len() - 1),
            _ => self.0.binary_search_by_key(key, |(key, _)| *key),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.place(key).ok().map(|at| &self.0[at].1)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.place(key).ok().map(|at| &mut self.0[at].1)
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.place(key).is_ok()
    }

    /// Returns what had the key before.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// What has the key; `make` makes it if there is nothing.
    pub(crate) fn or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let at = self.place(&key).unwrap_or_else(|at| {
            self.0.insert(at, (key, make()));
            at
        });
        &mut self.0[at].1
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.place(key).ok().map(|at| self.0.remove(at).1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<K, V> IntoIterator for Sorted<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_does_what_a_table_of_the_library_does(steps in prop::collection::vec((0_u8..4, 0_u32..40, any::<u8>()), 0..300)) {
            let (mut table, mut model) = (Sorted::default(), BTreeMap::new());
            for (step, key, value) in steps {
                match step {
                    0 | 1 => prop_assert_eq!(table.insert(key, value), model.insert(key, value)),
                    2 => prop_assert_eq!(table.remove(&key), model.remove(&key)),
                    _ => prop_assert_eq!(*table.or_insert_with(key, || value), *model.entry(key).or_insert(value)),
                }
                prop_assert_eq!((table.get(&key), table.contains_key(&key)), (model.get(&key), model.contains_key(&key)));
                prop_assert_eq!(table.get_mut(&key).copied(), model.get(&key).copied());
            }
            prop_assert!(table.iter().eq(model.iter()) && table.values().eq(model.values()));
            prop_assert_eq!(table.len(), model.len());
            prop_assert!(table.into_iter().eq(model));
        }
    }
}
