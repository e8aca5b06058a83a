//! What a handle of the C API points to, and how one that was freed, or was never one, is recognized.
//!
//! In front of each object stands a number that is its type's own, and that freeing overwrites. A pointer to anything
//! else is refused instead of used. That cannot be complete: memory that was freed may have become another handle of
//! the same type, or be gone. It turns the common mistakes into a message.

use std::alloc::{Layout, alloc};

/// A type that C programs have handles of.
pub(crate) trait Handle {
    /// The number in front of each object: arbitrary, and of this type alone.
    const MAGIC: u64;
    /// What to pass instead of a pointer that is refused.
    const WANTED: &'static str;
    /// What may have happened to a handle that is none any more.
    const ENDED: &'static str;
}

/// An object behind its number. A pointer to it goes to C as a pointer to `T`, which C programs know by name alone.
#[repr(C)]
pub(crate) struct Sealed<T> {
    magic: u64,
    object: T,
}

impl<T: Handle> Sealed<T> {
    /// Puts an object where a C program can hold it; `None`: there is no memory.
    pub(crate) fn handle(object: T) -> Option<*mut T> {
        // Not `Box::new`, which ends the program where there is no memory.
        // SAFETY: the layout has a size, that of the number at least.
        let place = unsafe { alloc(Layout::new::<Self>()) }.cast::<Self>();
        if place.is_null() {
            return None;
        }
        // SAFETY: new memory of this layout.
        unsafe { place.write(Sealed { magic: T::MAGIC, object }) };
        Some(place.cast())
    }

    /// The object behind a handle; `None`: the pointer is no handle of this type.
    ///
    /// # Safety
    ///
    /// The promise "handles", as far as it goes beyond what is checked here: that there is memory behind the pointer.
    pub(crate) unsafe fn object(pointer: *mut T) -> Option<*mut T> {
        let sealed = pointer.cast::<Self>();
        if sealed.is_null() || !sealed.is_aligned() {
            return None;
        }
        // Volatile: of memory that was freed nothing else may be assumed.
        // SAFETY: not NULL, aligned, and there is memory, as the caller promises.
        let magic = unsafe { (&raw const (*sealed).magic).read_volatile() };
        // SAFETY: as above; only the address is taken.
        (magic == T::MAGIC).then(|| unsafe { &raw mut (*sealed).object })
    }

    /// Takes the object back; the handle is none from here on. `None`: it is none already.
    ///
    /// # Safety
    ///
    /// The promise "handles", as for [`Self::object`], and nothing refers to the object.
    pub(crate) unsafe fn take(pointer: *mut T) -> Option<Box<Self>> {
        // SAFETY: as the caller promises.
        unsafe { Self::object(pointer) }?;
        let sealed = pointer.cast::<Self>();
        // SAFETY: it is a handle, so `handle` made it with the layout and the allocator of a `Box`, and it has not been
        // taken. Volatile, so that the write is made although the memory is given back next.
        unsafe {
            (&raw mut (*sealed).magic).write_volatile(0);
            Some(Box::from_raw(sealed))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct A(u8);
    struct B(#[expect(dead_code, reason = "only its type matters")] u8);

    impl Handle for A {
        const MAGIC: u64 = 1;
        const WANTED: &'static str = "an A";
        const ENDED: &'static str = "freed";
    }

    impl Handle for B {
        const MAGIC: u64 = 2;
        const WANTED: &'static str = "a B";
        const ENDED: &'static str = "freed";
    }

    #[test]
    fn a_handle_is_one_of_its_own_type_until_it_is_taken() {
        let handle = Sealed::handle(A(7)).expect("there is memory");
        // SAFETY: the memory of the handle lives to the end of the test.
        unsafe {
            assert_eq!((*Sealed::<A>::object(handle).unwrap()).0, 7);
            assert!(Sealed::<B>::object(handle.cast()).is_none(), "an A is no B");
            assert!(Sealed::<A>::object(handle.byte_add(1)).is_none(), "not aligned");
            assert!(Sealed::<A>::object(std::ptr::null_mut()).is_none());
            let taken = Box::into_raw(Sealed::<A>::take(handle).unwrap());
            assert_eq!((*taken).object.0, 7);
            assert!(Sealed::<A>::take(handle).is_none(), "taken twice");
            assert!(Sealed::<A>::object(handle).is_none());
            // By the handle: a box may not be used any more once its memory was read by another pointer.
            drop(Box::from_raw(handle.cast::<Sealed<A>>()));
        }
    }
}
