//! The names that an object under construction has, so that none is written twice.
//!
//! A table of positions, not of names: the names stand in the object's text already. It takes 4 bytes for a place,
//! and 8 for a name or two thirds of the text, whichever is more. Names come from the product model and not from an
//! attacker, so the hash has no key.

use std::collections::TryReserveError;

use super::plain::plain;

/// Where the names stand in the text; kept beside the text, which it is given with each call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Positions of opening quotes, by hash, in the next free place after a collision; 0 is a free place, since the
    /// object's brace stands there.
    places: Vec<u32>,
    used: usize,
}

impl Names {
    /// Makes room for one more name.
    pub(crate) fn reserve(&mut self, text: &[u8]) -> Result<(), TryReserveError> {
        if (self.used + 1) * 5 <= self.places.len() * 4 {
            return Ok(());
        }
        // Half as much again, or, where the members are long, what keeps text and table below twice the text.
        let (least, most) = ((self.places.len() / 2 * 3).max(8), self.places.len() * 4);
        let size = (text.len() / 6).min(most).max(least);
        let mut places = Vec::new();
        places.try_reserve_exact(size)?;
        places.resize(size, 0);
        for &at in self.places.iter().filter(|at| **at != 0) {
            if let Some(place) = free_place(&places, quoted(text, at), |_| false) {
                places[place] = at;
            }
        }
        self.places = places;
        Ok(())
    }

    /// Adds the name in quotes that ends `text` and begins at `at`; false if the object has it already. There is room
    /// for it.
    pub(crate) fn insert(&mut self, text: &[u8], at: u32) -> bool {
        let name = &text[at as usize..];
        // A name ends with the only quote that no backslash precedes: none is the beginning of another.
        let is_same = |other: u32| text[other as usize..at as usize].starts_with(name);
        let Some(place) = free_place(&self.places, name, is_same) else { return false };
        self.places[place] = at;
        self.used += 1;
        true
    }

    /// Forgets all names; the memory is kept.
    pub(crate) fn clear(&mut self) {
        self.places.fill(0);
        self.used = 0;
    }

    /// Bytes that the table takes.
    pub(crate) fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<u32>()
    }
}

/// The free place where `name` belongs, or `None` if `is_same` finds it on the way.
fn free_place(places: &[u32], name: &[u8], is_same: impl Fn(u32) -> bool) -> Option<usize> {
    // The hash as a fraction of the table: its length needs to be no power of two.
    let mut place = ((u64::from(hash(name)) * places.len() as u64) >> 32) as usize;
    loop {
        match places[place] {
            0 => return Some(place),
            other if is_same(other) => return None,
            _ => place = if place + 1 == places.len() { 0 } else { place + 1 },
        }
    }
}

/// The string that begins at `at`, with its quotes; it has been written by [`super::write`].
fn quoted(text: &[u8], at: u32) -> &[u8] {
    let text = &text[at as usize..];
    let mut end = 1;
    loop {
        end += plain(&text[end..]);
        match text.get(end) {
            Some(b'\\') => end += 2,
            _ => return &text[..end + 1],
        }
    }
}

/// Eight bytes at a time: mixed by a multiplication with an odd number, whose upper half is what counts. The last
/// eight may have been read in part before; a name of fewer than eight bytes is read one by one.
fn hash(name: &[u8]) -> u32 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| {
        let mixed = (hash ^ word).wrapping_mul(ODD);
        mixed ^ (mixed >> 32)
    };
    let (mut hash, mut rest) = (0, name);
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        hash = mix(hash, u64::from_le_bytes(*eight));
        rest = behind;
    }
    let last = match name.last_chunk::<8>() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => name.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte)),
    };
    (mix(hash, last).wrapping_mul(ODD) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_new_once() {
        let text = br#"{"a":1,"ab":2,"a":3,"":4,"a\"":5,"ab":6,"a\"":7,"":8"#;
        let starts = |part: &str| {
            let text = std::str::from_utf8(text).unwrap();
            text.match_indices(part).map(|(at, _)| at as u32 + 1).collect::<Vec<_>>()
        };
        fn add(names: &mut Names, text: &[u8], at: u32) -> bool {
            names.reserve(text).unwrap();
            names.insert(&text[..at as usize + quoted(text, at).len()], at)
        }
        let mut names = Names::default();
        let (a, ab, empty, quote) = (starts("{\"a\":")[0], starts(",\"ab\":"), starts(",\"\":"), starts(",\"a\\\"\":"));
        for new in [a, ab[0], empty[0], quote[0]] {
            assert!(add(&mut names, text, new), "{new}");
        }
        for again in [starts(",\"a\":")[0], ab[1], empty[1], quote[1]] {
            assert!(!add(&mut names, text, again), "{again}");
        }
        names.clear();
        assert!(add(&mut names, text, ab[1]));
    }

    /// Names that differ in a number alone, as a firmware's do, must not pile up.
    #[test]
    fn hashes_are_spread() {
        for form in ["\"p", "\"temperature_sensor_", "\"a_name_of_just_16"] {
            let mut counts = vec![0; 1000];
            for number in 0..10_000 {
                let hash = hash(format!("{form}{number}\"").as_bytes());
                counts[((u64::from(hash) * 1000) >> 32) as usize] += 1;
            }
            let most = counts.iter().max().unwrap();
            assert!(*most < 40, "{most} of 10,000 names in one of 1,000 places");
        }
    }
}
