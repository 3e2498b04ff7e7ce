//! Numbered places for things that come and go, without an allocation for each. Never moves what it holds.

/// The things, and which places are free.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Shelf<T> {
    /// Puts a thing down; the number takes it back.
    pub(super) fn put(&mut self, thing: T) -> usize {
        if let Some(number) = self.free.pop()
            && let Some(place) = self.places.get_mut(number)
        {
            *place = Some(thing);
            return number;
        }
        self.places.push(Some(thing));
        self.places.len() - 1
    }

    /// Takes a thing back.
    pub(super) fn take(&mut self, number: usize) -> Option<T> {
        let thing = self.places.get_mut(number)?.take()?;
        self.free.push(number);
        if self.free.len() == self.places.len() && self.places.len() > 1024 {
            // What a crowd needed is given back when it has left.
            *self = Self::default();
        }
        Some(thing)
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        self.places.get_mut(number)?.as_mut()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }

    /// One more than the highest number in use, or more.
    pub(super) fn end(&self) -> usize {
        self.places.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.places.iter_mut().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again_and_a_crowd_leaves_nothing_behind() {
        let mut shelf = Shelf::default();
        let first = shelf.put('a');
        assert_eq!((first, shelf.put('b')), (0, 1));
        assert_eq!((shelf.take(first), shelf.take(first), shelf.put('c')), (Some('a'), None, 0));
        assert_eq!(shelf.iter().collect::<String>(), "cb");
        let crowd: Vec<usize> = (0..2000).map(|_| shelf.put('x')).collect();
        for number in crowd.into_iter().chain([0, 1]) {
            assert!(shelf.take(number).is_some());
        }
        assert!(shelf.is_empty() && shelf.end() == 0);
    }
}
