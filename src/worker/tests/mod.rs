//! The engine's stories, told in a small world: real books, a real journal, a clock that the test
//! moves, and a receiver that says what it is told to say.

mod held;
mod jitter;
mod sending;
mod sift;
mod stories;
mod timing;
mod wakes;
mod world;
