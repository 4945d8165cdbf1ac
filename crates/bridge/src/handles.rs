//! Numbers that editors hold for a while: frames and variables.

use std::collections::HashMap;

use crate::Failure;

/// Numbers for things of the current stop. A number is never given out
/// twice, so that one of an earlier stop is known for what it is.
#[derive(Debug)]
pub(crate) struct Handles<T> {
    what: &'static str,
    next: i64,
    held: HashMap<i64, T>,
}

impl<T> Handles<T> {
    /// `what` names them in errors.
    pub(crate) fn new(what: &'static str) -> Self {
        Handles {
            what,
            next: 1,
            held: HashMap::new(),
        }
    }

    pub(crate) fn add(&mut self, value: T) -> i64 {
        let id = self.next;
        self.next += 1;
        self.held.insert(id, value);
        id
    }

    pub(crate) fn get(&self, id: i64) -> Result<&T, Failure> {
        self.held.get(&id).ok_or({
            if (1..self.next).contains(&id) {
                Failure::StaleReference(self.what)
            } else {
                Failure::UnknownReference(self.what, id)
            }
        })
    }

    /// The program is resumed: all of them die.
    pub(crate) fn clear(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_an_earlier_stop_is_stale_and_not_unknown() {
        let mut handles = Handles::new("frame");
        let first = handles.add('a');
        assert_eq!(handles.get(first), Ok(&'a'));
        handles.clear();
        assert_eq!(handles.get(first), Err(Failure::StaleReference("frame")));
        let second = handles.add('b');
        assert_ne!(first, second);
        assert_eq!(handles.get(99), Err(Failure::UnknownReference("frame", 99)));
    }
}
