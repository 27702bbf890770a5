//! The web UI without a browser: sessions and who may change what, every page of an empty and of a
//! full node, and forms that end at their fields.

mod admin;
mod api;
mod bounds;
mod browser;
mod bulk_edit;
mod copies;
mod forms;
mod many;
mod pages;
mod records;
mod sessions;
mod template_forms;
mod templates;
