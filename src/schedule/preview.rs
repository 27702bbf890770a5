//! stub
/// stub
pub struct Mark;
/// stub
pub struct Preview;
/// stub
pub fn preview() {}
