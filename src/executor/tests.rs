//! The executor against receivers of its own, in this process.
