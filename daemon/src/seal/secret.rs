//! A value that is never printed and wiped when it is dropped.

use zeroize::Zeroize;

/// Wraps a secret: no `Debug`, no `Display`, no `Clone`.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes a secret in.
    pub fn new(secret: T) -> Self {
        Self(secret)
    }

    /// Shows it. Look for this word to find every place that does.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
