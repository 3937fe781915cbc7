//! A tree of nodes as it should be, and how it is laid over the nodes that are there.
//!
//! Nodes are matched by place, tag, key and first class. What matches is kept and only changed where it differs; an
//! input's value, once drawn, belongs to the person. Text goes in as text: nothing is parsed.

use web_sys::{Document, Element};

const KEY: &str = "data-key";

/// One element as it should be.
pub(super) struct Tree {
    tag: &'static str,
    attributes: Vec<(&'static str, String)>,
    text: Option<String>,
    children: Vec<Self>,
}

impl Tree {
    pub(super) const fn new(tag: &'static str) -> Self {
        Self { tag, attributes: Vec::new(), text: None, children: Vec::new() }
    }

    pub(super) fn attribute(mut self, name: &'static str, value: &str) -> Self {
        self.attributes.retain(|(known, _)| *known != name);
        self.attributes.push((name, value.to_owned()));
        self
    }

    pub(super) fn class(self, value: &str) -> Self {
        self.attribute("class", value)
    }

    /// Keeps an element apart from others of the same tag at the same place.
    pub(super) fn key(self, value: &str) -> Self {
        self.attribute(KEY, value)
    }

    /// What Enter does on this screen.
    pub(super) fn default(self) -> Self {
        self.attribute("data-default", "").focus()
    }

    /// Where a new screen begins.
    pub(super) fn focus(self) -> Self {
        self.attribute("data-focus", "")
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }

    pub(super) fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    pub(super) fn children(mut self, children: Vec<Self>) -> Self {
        self.children = children;
        self
    }

    /// Further children.
    pub(super) fn children_after(mut self, more: impl Iterator<Item = Self>) -> Self {
        self.children.extend(more);
        self
    }

    fn attribute_value(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Whether it is the row of buttons of a screen.
    pub(super) fn is_buttons(&self) -> bool {
        self.attribute_value("class") == Some("buttons")
    }

    fn fits(&self, element: &Element) -> bool {
        let kind_of = |classes: Option<&str>| classes.and_then(|all| all.split(' ').next()).map(str::to_owned);
        element.tag_name().eq_ignore_ascii_case(self.tag)
            && element.get_attribute(KEY).as_deref() == self.attribute_value(KEY)
            && kind_of(element.get_attribute("class").as_deref()) == kind_of(self.attribute_value("class"))
    }

    fn make(&self, document: &Document) -> Option<Element> {
        let element = document.create_element(self.tag).ok()?;
        self.apply(document, &element);
        Some(element)
    }

    fn apply(&self, document: &Document, element: &Element) {
        let names = element.get_attribute_names();
        for place in 0..names.length() {
            if let Some(name) = names.get(place).as_string()
                && self.attribute_value(&name).is_none()
                // A person opened it.
                && name != "open"
            {
                let _ = element.remove_attribute(&name);
            }
        }
        for (name, value) in &self.attributes {
            if element.get_attribute(name).as_deref() != Some(value) {
                let _ = element.set_attribute(name, value);
            }
        }
        match &self.text {
            Some(text) => {
                if element.child_element_count() > 0 || element.text_content().as_deref() != Some(text) {
                    element.set_text_content(Some(text));
                }
            }
            None => lay(document, element, &self.children),
        }
    }
}

/// Makes the children of `parent` what the trees say.
pub(super) fn lay(document: &Document, parent: &Element, trees: &[Tree]) {
    let children = parent.children();
    for (place, tree) in (0u32..).zip(trees) {
        // A keyed child may stand further down: those before it are gone.
        let found = (place..children.length()).filter_map(|place| children.item(place)).find(|child| tree.fits(child));
        match found {
            Some(child) => {
                while let Some(before) = children.item(place).filter(|before| *before != child) {
                    before.remove();
                }
                tree.apply(document, &child);
            }
            None => {
                if let Some(made) = tree.make(document) {
                    let _ = parent.insert_before(&made, children.item(place).as_deref());
                }
            }
        }
    }
    let wanted = u32::try_from(trees.len()).unwrap_or(u32::MAX);
    while let Some(extra) = children.item(wanted) {
        extra.remove();
    }
}
