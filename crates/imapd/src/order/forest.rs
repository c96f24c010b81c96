//! [`Forest`]: parents and children that may be cut apart, and who is above whom, in time
//! that grows with the logarithm of how many there are (link-cut trees of Sleator and
//! Tarjan). Walking up from a message would take as long as References are long, and
//! hostile ones make that the square of their number.

/// No node.
const NONE: u32 = u32::MAX;

/// A node: its place in the forest, and in the splay tree of the path it is on.
#[derive(Debug, Clone, Copy)]
struct Node {
    parent: u32,
    children: u32,
    /// Above it in its splay tree; for the top of one, what its path hangs on.
    up: u32,
    /// Nearer to the root on its path.
    left: u32,
    /// Farther from it.
    right: u32,
}

const ALONE: Node = Node {
    parent: NONE,
    children: 0,
    up: NONE,
    left: NONE,
    right: NONE,
};

/// Trees of nodes that are numbered from 0.
#[derive(Debug, Default)]
pub struct Forest {
    nodes: Vec<Node>,
}

impl Forest {
    /// Adds a node without parent, and tells its number.
    pub fn add(&mut self) -> u32 {
        let number = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        self.nodes.push(ALONE);
        number
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A node's parent.
    pub fn parent(&self, node: u32) -> Option<u32> {
        Some(self.node(node).parent).filter(|parent| *parent != NONE)
    }

    /// Makes `parent` the parent of a node that has none, unless it is below it.
    pub fn link(&mut self, node: u32, parent: u32) {
        if node == parent || self.node(node).parent != NONE {
            return;
        }
        // What has no children has nobody below it: mostly.
        if self.node(node).children > 0 {
            if self.root(parent) == node {
                return;
            }
            self.access(parent);
        }
        self.splay(node);
        self.change(node, |it| {
            it.parent = parent;
            it.up = parent;
        });
        self.change(parent, |it| it.children += 1);
    }

    /// Parts a node from its parent, if it has one.
    pub fn cut(&mut self, node: u32) {
        let Some(parent) = self.parent(node) else {
            return;
        };
        self.access(node);
        let left = self.node(node).left;
        self.change(node, |it| {
            it.left = NONE;
            it.parent = NONE;
        });
        self.change(left, |it| it.up = NONE);
        self.change(parent, |it| it.children = it.children.saturating_sub(1));
    }

    /// The uppermost above a node.
    fn root(&mut self, node: u32) -> u32 {
        self.access(node);
        let mut root = node;
        while self.node(root).left != NONE {
            root = self.node(root).left;
        }
        self.splay(root);
        root
    }

    fn node(&self, node: u32) -> Node {
        let place = usize::try_from(node).unwrap_or(usize::MAX);
        self.nodes.get(place).copied().unwrap_or(ALONE)
    }

    fn change(&mut self, node: u32, change: impl FnOnce(&mut Node)) {
        let place = usize::try_from(node).unwrap_or(usize::MAX);
        if let Some(node) = self.nodes.get_mut(place) {
            change(node);
        }
    }

    /// Whether a node is the top of its splay tree.
    fn is_top(&self, node: u32) -> bool {
        let up = self.node(node).up;
        up == NONE || (self.node(up).left != node && self.node(up).right != node)
    }

    fn rotate(&mut self, node: u32) {
        let up = self.node(node).up;
        let (above, up_is_top) = (self.node(up).up, self.is_top(up));
        let inner;
        if self.node(up).left == node {
            inner = self.node(node).right;
            self.change(up, |it| it.left = inner);
            self.change(node, |it| it.right = up);
        } else {
            inner = self.node(node).left;
            self.change(up, |it| it.right = inner);
            self.change(node, |it| it.left = up);
        }
        self.change(inner, |it| it.up = up);
        self.change(up, |it| it.up = node);
        self.change(node, |it| it.up = above);
        if !up_is_top {
            self.change(above, |it| match it.left == up {
                true => it.left = node,
                false => it.right = node,
            });
        }
    }

    /// Makes a node the top of its splay tree.
    fn splay(&mut self, node: u32) {
        while !self.is_top(node) {
            let up = self.node(node).up;
            if !self.is_top(up) {
                let above = self.node(up).up;
                let is_left = self.node(up).left == node;
                let is_straight = is_left == (self.node(above).left == up);
                self.rotate(if is_straight { up } else { node });
            }
            self.rotate(node);
        }
    }

    /// Makes the path from a root to a node one splay tree with the node at its top.
    fn access(&mut self, node: u32) {
        let (mut below, mut at) = (NONE, node);
        while at != NONE {
            self.splay(at);
            self.change(at, |it| it.right = below);
            below = at;
            at = self.node(at).up;
        }
        self.splay(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks up.
    fn is_above(parents: &[Option<u32>], above: u32, below: u32) -> bool {
        let mut at = Some(below);
        while let Some(node) = at {
            if node == above {
                return true;
            }
            at = parents[node as usize];
        }
        false
    }

    proptest::proptest! {
        #[test]
        fn it_links_what_walking_up_allows(
            changes in proptest::collection::vec((0..12_u32, 0..12_u32, 0..4_u32), 0..200),
        ) {
            let mut forest = Forest::default();
            let mut parents = vec![None; 12];
            for _ in 0..12 {
                forest.add();
            }
            for (node, parent, kind) in changes {
                if kind == 0 {
                    forest.cut(node);
                    parents[node as usize] = None;
                } else {
                    forest.link(node, parent);
                    if parents[node as usize].is_none() && !is_above(&parents, node, parent) {
                        parents[node as usize] = Some(parent);
                    }
                }
                let linked: Vec<_> = (0..12).map(|node| forest.parent(node)).collect();
                proptest::prop_assert_eq!(&linked, &parents);
            }
        }
    }

    #[test]
    fn a_long_chain_is_looked_through_often() {
        const COUNT: u32 = 100_000;
        let mut forest = Forest::default();
        for node in 0..COUNT {
            forest.add();
            if let Some(below) = node.checked_sub(1) {
                forest.link(below, node);
            }
        }
        // Each would close the circle.
        for node in 0..COUNT {
            forest.link(COUNT - 1, node);
        }
        assert_eq!(forest.parent(COUNT - 1), None);
        assert_eq!(forest.parent(0), Some(1));
    }
}
