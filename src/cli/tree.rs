//! The supervision tree as a drawing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::humane;
use crate::admin_client::TreeNode;

const TEXT_CHARS_MAX: usize = 60;
/// Deeper paths are drawn at this depth: they come over the network.
const DEPTH_MAX: usize = 64;

/// Draws `nodes` by their paths, each line with kind, state, uptime, restarts with the last cause, and mailbox. A parent
/// that is not among the nodes is drawn by its name alone.
pub fn render(nodes: &[TreeNode]) -> String {
    let mut root = Branch::default();
    for node in nodes {
        let mut branch = &mut root;
        for name in node.path.split('/').filter(|name| !name.is_empty()).take(DEPTH_MAX) {
            branch = branch.children.entry(natural_key(name)).or_default();
            branch.name = name;
        }
        branch.node = Some(node);
    }
    let mut lines = Vec::new();
    draw(&root, "", &mut lines);
    let width = lines.iter().map(|(drawing, _)| drawing.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for (drawing, node) in lines {
        let details = node.map_or(String::new(), details);
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", format!("{drawing:<width$}  {details}").trim_end());
    }
    out
}

#[derive(Default)]
struct Branch<'a> {
    name: &'a str,
    node: Option<&'a TreeNode>,
    children: BTreeMap<(String, u64, String), Branch<'a>>,
}

/// Sorts `shard-2` before `shard-10`.
fn natural_key(name: &str) -> (String, u64, String) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = name.strip_prefix(stem).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    (stem.to_owned(), number, name.to_owned())
}

fn draw<'a>(branch: &Branch<'a>, indent: &str, lines: &mut Vec<(String, Option<&'a TreeNode>)>) {
    let is_top = lines.is_empty();
    let last = branch.children.len().saturating_sub(1);
    for (index, child) in branch.children.values().enumerate() {
        let (joint, below) = match (is_top && indent.is_empty() && last == 0, index == last) {
            (true, _) => ("", ""),
            (false, true) => ("└─ ", "   "),
            (false, false) => ("├─ ", "│  "),
        };
        lines.push((format!("{indent}{joint}{}", humane::safe(child.name, TEXT_CHARS_MAX)), child.node));
        draw(child, &format!("{indent}{below}"), lines);
    }
}

fn details(node: &TreeNode) -> String {
    let mut parts = vec![node.kind.clone(), node.state.clone(), format!("up {}", humane::duration_ms(node.uptime_ms))];
    if node.restarts > 0 {
        let cause = node.last_cause.as_deref().unwrap_or("cause unknown");
        let restarts = humane::count(usize::try_from(node.restarts).unwrap_or(usize::MAX), "restart");
        parts.push(format!("{restarts} ({cause})"));
    }
    if node.mailbox_capacity > 0 {
        let mut mailbox = format!("mailbox {}/{}", node.mailbox_depth, node.mailbox_capacity);
        if node.mailbox_age_ms > 0 {
            let _ = write!(mailbox, ", oldest {}", humane::duration_ms(node.mailbox_age_ms));
        }
        parts.push(mailbox);
    }
    parts.extend(node.description.clone());
    let shown: Vec<String> =
        parts.iter().filter(|part| !part.is_empty()).map(|part| humane::safe(part, TEXT_CHARS_MAX)).collect();
    shown.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(path: &str) -> TreeNode {
        TreeNode {
            path: path.to_owned(),
            kind: "k".to_owned(),
            state: "up".to_owned(),
            uptime_ms: 1_000,
            ..TreeNode::default()
        }
    }

    #[test]
    fn the_tree_is_drawn_by_paths_with_numbers_in_order() {
        let mut killed = node("switch/shard-10");
        killed.restarts = 2;
        killed.last_cause = Some("panicked: boom".to_owned());
        killed.mailbox_depth = 3;
        killed.mailbox_capacity = 64;
        let nodes = [node("switch"), killed, node("switch/shard-2"), node("switch/shard-2/call-a")];
        let drawn = "\
switch        k · up · up 1s
├─ shard-2    k · up · up 1s
│  └─ call-a  k · up · up 1s
└─ shard-10   k · up · up 1s · 2 restarts (panicked: boom) · mailbox 3/64
";
        assert_eq!(render(&nodes), drawn);
    }

    #[test]
    fn a_path_without_its_parents_is_drawn_too() {
        assert_eq!(render(&[node("/a/b")]), "a\n└─ b  k · up · up 1s\n");
    }

    #[test]
    fn two_roots_hang_side_by_side() {
        assert_eq!(render(&[node("a"), node("b")]), "├─ a  k · up · up 1s\n└─ b  k · up · up 1s\n");
    }
}
