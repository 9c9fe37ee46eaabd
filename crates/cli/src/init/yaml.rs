//! YAML as far as a compose file needs it: maps, lists and scalars with their lines, anchors and merge keys (`<<`).
//!
//! An alias shares what it stands for, so that no file can stand for more memory than it has. Not in here: compose.

use saphyr_parser::{Event, Parser};
use std::collections::HashMap;
use std::rc::Rc;

/// Most that may lie within each other, most values in all, and most merges within each other.
const DEEP: usize = 32;
const MANY: usize = 20_000;
const MERGES: usize = 3;
const MERGED: usize = 8;

/// A value and the line on which it begins, from 1.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Scalar(String),
    Map(Vec<(String, Rc<Node>)>),
    List(Vec<Rc<Node>>),
}

/// What is being read.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<String>,
}

/// Reads the first document. What was read before a mistake is given beside it.
pub(super) fn read(text: &str) -> (Option<Rc<Node>>, Option<String>) {
    let mut reading = Reading::default();
    let mistake = reading.read(text).err();
    while mistake.is_some() && !reading.open.is_empty() {
        reading.close();
    }
    (reading.done, mistake)
}

#[derive(Default)]
struct Reading {
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    done: Option<Rc<Node>>,
}

impl Reading {
    fn read(&mut self, text: &str) -> Result<(), String> {
        for (count, event) in Parser::new_from_str(text).enumerate() {
            let (event, span) = event.map_err(|error| format!("line {}: not YAML", error.marker().line()))?;
            let line = span.start.line();
            if count > MANY || self.open.len() > DEEP {
                return Err(format!("line {line}: too much within each other or in all"));
            }
            match event {
                Event::MappingStart(anchor, _) => self.begin(Value::Map(Vec::new()), line, anchor),
                Event::SequenceStart(anchor, _) => self.begin(Value::List(Vec::new()), line, anchor),
                Event::Scalar(text, _, anchor, _) => {
                    let node = Rc::new(Node { line, value: Value::Scalar(text.into_owned()) });
                    self.place(node, anchor);
                }
                Event::Alias(anchor) => {
                    let Some(node) = self.anchors.get(&anchor).cloned() else {
                        return Err(format!("line {line}: an alias within what it stands for"));
                    };
                    self.place(node, 0);
                }
                Event::MappingEnd | Event::SequenceEnd => self.close(),
                Event::DocumentEnd | Event::StreamEnd => break,
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
            }
        }
        Ok(())
    }

    fn begin(&mut self, value: Value, line: usize, anchor: usize) {
        self.open.push(Open { node: Node { line, value }, anchor, key: None });
    }

    fn close(&mut self) {
        if let Some(Open { node, anchor, .. }) = self.open.pop() {
            self.place(Rc::new(node), anchor);
        }
    }

    /// Puts a whole value where it belongs.
    fn place(&mut self, node: Rc<Node>, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        match self.open.last_mut() {
            None => self.done = self.done.take().or(Some(node)),
            Some(open) => match &mut open.node.value {
                Value::List(list) => list.push(node),
                Value::Map(map) => match open.key.take() {
                    Some(key) => map.push((key, node)),
                    // A key that is no text is kept under no name.
                    None => open.key = Some(node.text().unwrap_or_default().to_owned()),
                },
                Value::Scalar(_) => {}
            },
        }
    }
}

impl Node {
    /// A scalar's text.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            Value::Map(_) | Value::List(_) => None,
        }
    }

    /// A list's items; none where it is no list.
    pub(super) fn items(&self) -> &[Rc<Node>] {
        match &self.value {
            Value::List(list) => list,
            Value::Scalar(_) | Value::Map(_) => &[],
        }
    }

    /// A map's own pairs, and then those that it merges and has not itself. None where it is no map.
    pub(super) fn pairs(&self) -> Vec<(&str, &Node)> {
        let mut all = Vec::new();
        self.gather(MERGES, &mut all);
        all
    }

    fn gather<'n>(&'n self, deep: usize, all: &mut Vec<(&'n str, &'n Node)>) {
        let Value::Map(map) = &self.value else { return };
        for (key, node) in map.iter().filter(|(key, _)| key != "<<") {
            if !all.iter().any(|(known, _)| known == key) {
                all.push((key, node));
            }
        }
        for (_, merged) in map.iter().filter(|(key, _)| key == "<<" && deep > 0) {
            merged.gather(deep - 1, all);
            merged.items().iter().take(MERGED).for_each(|one| one.gather(deep - 1, all));
        }
    }

    /// A map's value.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.pairs().into_iter().find(|(name, _)| *name == key).map(|(_, node)| node)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test panics where it fails")]
mod tests {
    use super::*;

    #[test]
    fn merge_keys_and_anchors_are_followed() {
        let text = "x: &env\n  A: 1\n  B: 2\ns:\n  e:\n    <<: *env\n    B: 3\n  l: [a, b]\n";
        let (root, mistake) = read(text);
        let root = root.unwrap();
        assert_eq!(mistake, None);
        let env = root.get("s").unwrap().get("e").unwrap();
        assert_eq!((env.get("A").unwrap().text(), env.get("B").unwrap().text()), (Some("1"), Some("3")));
        assert_eq!((env.get("A").unwrap().line, env.get("B").unwrap().line), (2, 7));
        assert_eq!(root.get("s").unwrap().get("l").unwrap().items().len(), 2);
    }

    #[test]
    fn what_stands_before_a_mistake_is_kept() {
        let (root, mistake) = read("a: 1\nb:\n  c: 2\n\td: hunter2\n");
        let mistake = mistake.unwrap();
        assert!(mistake.starts_with("line ") && !mistake.contains("hunter2"), "{mistake}");
        assert_eq!(root.unwrap().get("a").unwrap().text(), Some("1"));
    }

    #[test]
    fn hostile_files_end() {
        assert!(read(&"[".repeat(10_000)).1.is_some());
        assert!(read(&"- a\n".repeat(MANY + 1)).1.is_some());
        // A billion laughs: shared, never multiplied.
        let mut text = "a0: &a0 {x: y}\n".to_owned();
        for n in 1..30 {
            text.push_str(&format!("a{n}: &a{n} {{<<: [{}]}}\n", vec![format!("*a{}", n - 1); 9].join(", ")));
        }
        let (root, _) = read(&text);
        assert!(root.unwrap().get("a29").unwrap().pairs().len() <= 1);
    }
}
