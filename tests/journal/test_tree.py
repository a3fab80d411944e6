"""Trees are walked as far as they lead, and what is out of place is noticed."""

import contextlib
import sqlite3

import pytest
from journal.filling import fill, left
from journal.wreck import PAGE

from feishu_ws.journal.file import connect_writer, make_private
from feishu_ws.journal.image import Image
from feishu_ws.journal.pages import Kind
from feishu_ws.journal.rows import Table
from feishu_ws.journal.store import Store
from feishu_ws.journal.tree import (
    HIGHEST,
    Forest,
    Gap,
    content_of,
    first_row,
    highest_key,
    open_page,
)

COUNT = 3000


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A journal with two levels of branches, and the roots of its tables."""
    path = tmp_path_factory.mktemp("tree") / "journal.db"
    make_private(path)
    store = Store(connect_writer(path))
    fill(store, COUNT, size=1800)
    assert left(store) == list(range(1, COUNT + 1))
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        query = "SELECT name, rootpage FROM sqlite_master WHERE type = 'table'"
        roots = dict(db.execute(query).fetchall())
    return path.read_bytes(), roots


class Tree:
    """The tree of events in a copy that can be spoilt."""

    def __init__(self, whole, directory):
        data, roots = whole
        self.data = bytearray(data)
        self.root = roots["event"]
        self.roots = roots
        self.path = directory / "journal.db"

    def page(self, number):
        """Return a page as it was parsed."""
        with Image(self.path, trusting=True) as image:
            return open_page(image.page(number), number, image.usable)

    def spoil(self, number, data=bytes(PAGE)):
        """Overwrite a page."""
        self.data[(number - 1) * PAGE : (number - 1) * PAGE + len(data)] = data

    def walk(self, root=None):
        """Return (positions, gaps) of a walk."""
        self.path.write_bytes(self.data)
        found, gaps = [], []
        with Image(self.path, trusting=True) as image:
            for page in Forest(image).walk(root or self.root):
                if isinstance(page, Gap):
                    gaps.append(page)
                else:
                    content = content_of(page, image.usable, image.page)
                    found += [row.values[0] for row in content.rows]
        return found, gaps

    def children(self, number=None):
        """Return (number, low, high) of the pages below a branch."""
        self.path.write_bytes(self.data)
        with Image(self.path, trusting=True) as image:
            forest = Forest(image)
            visit = forest._enter(number or self.root, 0, HIGHEST)
            return forest._children(visit)


@pytest.fixture
def tree(whole, tmp_path):
    return Tree(whole, tmp_path)


def test_a_whole_tree(tree):
    """All rows of a sound tree are there, in order, without a gap."""
    assert tree.walk() == (list(range(1, COUNT + 1)), [])


def test_every_table(tree):
    """Tables without rowids and empty ones are walked like any other."""
    for table, root in tree.roots.items():
        _, gaps = tree.walk(root)
        assert (table, gaps) == (table, [])


@pytest.mark.parametrize("spoilt", [bytes(PAGE), b"\xff" * PAGE, b"\x0a" + bytes(PAGE - 1)])
def test_a_child_that_is_gone(tree, spoilt):
    """What is below a destroyed child is a gap between its neighbours' keys, and no more."""
    number, low, high = tree.children()[2]
    tree.spoil(number, spoilt)
    found, gaps = tree.walk()

    assert gaps == [Gap(low, high)]
    assert found == [p for p in range(1, COUNT + 1) if not low < p <= high]


def test_the_last_child(tree):
    """Nobody knows how far the last page went."""
    number, low, _ = tree.children()[-1]
    tree.spoil(number)

    assert tree.walk() == (list(range(1, low + 1)), [Gap(low, HIGHEST)])


def test_the_root(tree):
    """Without its root a tree gives nothing."""
    tree.spoil(tree.root)

    assert tree.walk() == ([], [Gap(0, HIGHEST)])


@pytest.mark.parametrize("root", [0, 10**9])
def test_a_root_that_cannot_be(tree, root):
    """A root outside of the file is a gap."""
    tree.path.write_bytes(tree.data)
    with Image(tree.path, trusting=True) as image:
        assert list(Forest(image).walk(root)) == [Gap(0, HIGHEST)]


def test_a_ring(tree):
    """A branch that is its own grandchild ends the walk there."""
    first, second, *_ = (number for number, _, _ in tree.children())
    start = (tree.root - 1) * PAGE
    tree.spoil(second, bytes(tree.data[start : start + PAGE]))
    found, gaps = tree.walk()

    assert first
    assert found == sorted(set(found))
    assert gaps


def test_keys_that_do_not_ascend(tree):
    """A branch whose keys are in no order is not believed."""
    start = (tree.root - 1) * PAGE
    tree.data[start + 12 : start + 16] = tree.data[start + 14 : start + 16] + bytes(
        tree.data[start + 12 : start + 14]
    )

    assert tree.walk() == ([], [Gap(0, HIGHEST)])


def test_two_tables_with_one_root(tree):
    """No page is visited twice: what a second tree claims is a gap."""
    tree.path.write_bytes(tree.data)
    with Image(tree.path, trusting=True) as image:
        forest = Forest(image)
        list(forest.walk(tree.root))
        again = list(forest.walk(tree.root))

    assert again == [Gap(0, HIGHEST)]
    assert forest.is_visited(tree.root)


def leaves(tree):
    """Return the leaves of the tree in order."""
    tree.path.write_bytes(tree.data)
    with Image(tree.path, trusting=True) as image:
        return list(Forest(image).walk(tree.root))


def test_a_leaf_with_a_damaged_row(tree):
    """The other rows of a leaf are there, the damaged one is known by its rowid."""
    leaf = leaves(tree)[5]
    data = bytearray(leaf.data)
    data[leaf.page.cells[0] + 4 : leaf.page.cells[0] + 20] = b"\x7f" * 16
    content = content_of(leaf._replace(data=bytes(data)), PAGE, {}.get)
    whole = content_of(leaf, PAGE, {}.get)

    assert whole.is_sound
    assert not content.is_sound
    assert content.lost == [whole.rows[0].values[0]]
    assert content.rows == whole.rows[1:]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (10**6, HIGHEST)])
def test_a_leaf_in_the_wrong_place(tree, low, high):
    """Rows that do not belong where a leaf was found make it one with something out of place."""
    leaf = leaves(tree)[5]._replace(low=low, high=high)

    assert not content_of(leaf, PAGE, {}.get).is_sound


def test_a_leaf_that_names_a_row_twice(tree):
    """Two cells in one place are out of place."""
    leaf = leaves(tree)[5]
    first = leaf.page.cells[0]
    twice = leaf._replace(page=leaf.page._replace(cells=(first, first)))

    assert not content_of(twice, PAGE, {}.get).is_sound


def test_a_branch_alone(tree):
    """A branch nobody leads to says how far its table went; one in no order says nothing."""
    tree.path.write_bytes(tree.data)
    branch = tree.page(tree.root)
    assert branch.page.kind is Kind.TABLE_INTERIOR
    cells = branch.page.cells

    assert highest_key(branch, PAGE) == tree.children()[-2][2]
    assert highest_key(branch._replace(page=branch.page._replace(cells=cells[::-1])), PAGE) == 0
    assert highest_key(branch._replace(page=branch.page._replace(cells=(PAGE - 1,))), PAGE) == 0


def test_the_first_row(tree):
    """The first row tells which index a page is from; a table's pages tell nothing that way."""
    tree.path.write_bytes(tree.data)
    with contextlib.closing(sqlite3.connect(tree.path)) as db:
        (index,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_seen_1'"
        ).fetchone()
    branch = tree.page(index)

    assert first_row(branch, PAGE, {}.get).table is Table.KEY
    assert first_row(tree.page(tree.root), PAGE, {}.get) is None
    assert first_row(branch._replace(data=bytes(PAGE)), PAGE, {}.get) is None
