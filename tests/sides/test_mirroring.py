# ruff: noqa: RUF001  (Cyrillic and full-width letters are what is tested)
"""Left and right in names: the spellings and languages, the false friends, and what holds for any names."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.category import Category, Keypoint
from anykeypoint.sides.mirroring import is_left, mirrored_name, mirrored_pairs, mirrors, plain_name, sides_of, unpaired
from anykeypoint.sides.words import side_words

SPELLINGS = [  # left, right
    ("left ear", "right ear"),
    ("left_ear", "right_ear"),
    ("left-ear", "right-ear"),
    ("left.ear", "right.ear"),
    ("ear left", "ear right"),
    ("Ear_Left", "Ear_Right"),
    ("leftear", "rightear"),
    ("earleft", "earright"),
    ("LEFTEAR", "RIGHTEAR"),
    ("LEFTear", "RIGHTear"),
    ("LeftEar", "RightEar"),
    ("leftEar", "rightEar"),
    ("earLeft", "earRight"),
    ("leftWingTip", "rightWingTip"),
    ("frontleftpaw", "frontrightpaw"),
    ("frontLeftPaw2", "frontRightPaw2"),
    ("left1", "right1"),
    ("left eye 2", "right eye 2"),
    ("2_left", "2_right"),
    ("leftmost leaf", "rightmost leaf"),
    ("left-hand grip", "right-hand grip"),
    ("ear (left)", "ear (right)"),
    ("tip of the left half", "tip of the right half"),
    ("left side of the right wing", "right side of the left wing"),
    ("earL", "earR"),
    ("EarL", "EarR"),
    ("LEar", "REar"),
    ("lEar", "rEar"),
    ("L_ear", "R_ear"),
    ("L ear", "R ear"),
    ("l-ear", "r-ear"),
    ("eye.L", "eye.R"),
    ("eye.l.001", "eye.r.001"),
    ("l_ankle", "r_ankle"),
    ("ankle_l", "ankle_r"),
    ("ear_l_tip", "ear_r_tip"),
    ("ear (L)", "ear (R)"),
    ("L", "R"),
    ("L1", "R1"),
    ("1L", "1R"),
    ("forelegL1", "forelegR1"),
    ("L_EarBase", "R_EarBase"),
    ("paw1LH", "paw1RH"),
    ("LHpaw", "RHpaw"),
    ("lh_paw", "rh_paw"),
    ("FL", "FR"),
    ("paw_HL", "paw_HR"),
    ("FLP", "FRP"),
    ("LfrontPaw", "RfrontPaw"),
    ("LtEar", "RtEar"),
    ("hand.L.001", "hand.R.001"),
    ("mixamorig:LeftArm", "mixamorig:RightArm"),
    ("mouth_left", "mouth_right"),
    ("right_earbase", "left_earbase")[::-1],
    ("lear", "rear"),
    ("earl", "earr"),
    ("LANK", "RANK"),
    ("front_lpaw", "front_rpaw"),
    ("Lt. ear", "Rt. ear"),
    ("lft ear", "rgt ear"),
    ("port wing", "starboard wing"),
]
LANGUAGES = [
    ("linkes Ohr", "rechtes Ohr"),
    ("linke Pfote", "rechte Pfote"),
    ("linker Fuß", "rechter Fuß"),
    ("Spitze der linken Pfote", "Spitze der rechten Pfote"),
    ("am linkem Rand", "am rechtem Rand"),
    ("Ohr links", "Ohr rechts"),
    ("ohr_links", "ohr_rechts"),
    ("linksvoor", "rechtsvoor"),
    ("ohr_li", "ohr_re"),
    ("LinkesOhr", "RechtesOhr"),
    ("linkesohr", "rechtesohr"),
    ("linkeroor", "rechteroor"),
    ("linker oog", "rechter oog"),
    ("linker-voorpoot", "rechter-voorpoot"),
    ("linkse vleugel", "rechtse vleugel"),
    ("œil gauche", "œil droit"),
    ("oreille gauche", "oreille droite"),
    ("l'aile gauche", "l'aile droite"),
    ("pattes gauches", "pattes droites"),
    ("yeux gauches", "yeux droits"),
    ("oreille_gauche", "oreille_droite"),
    ("oreilleGauche", "oreilleDroite"),
    ("ojo izquierdo", "ojo derecho"),
    ("oreja izquierda", "oreja derecha"),
    ("orejas izquierdas", "orejas derechas"),
    ("ojo_izq", "ojo_der"),
    ("pata izda", "pata dcha"),
    ("olho esquerdo", "olho direito"),
    ("orelha esquerda", "orelha direita"),
    ("olho_esq", "olho_dir"),
    ("occhio sinistro", "occhio destro"),
    ("ala sinistra", "ala destra"),
    ("occhi sinistri", "occhi destri"),
    ("ali sinistre", "ali destre"),
    ("occhio_sx", "occhio_dx"),
    ("lewy bark", "prawy bark"),
    ("lewa łapa", "prawa łapa"),
    ("lewe oko", "prawe oko"),
    ("czubek lewego ucha", "czubek prawego ucha"),
    ("czubek lewej łapy", "czubek prawej łapy"),
    ("левый глаз", "правый глаз"),
    ("левая лапа", "правая лапа"),
    ("левое ухо", "правое ухо"),
    ("кончик левого уха", "кончик правого уха"),
    ("кончик левой лапы", "кончик правой лапы"),
    ("ухо слева", "ухо справа"),
    ("лев. глаз", "прав. глаз"),
    ("左眼", "右眼"),
    ("左耳尖", "右耳尖"),
    ("眼睛（左）", "眼睛（右）"),
    ("左ひざ", "右ひざ"),
    ("ひだり目", "みぎ目"),
    ("hidari_me", "migi_me"),
    ("左耳 (left ear)", "右耳 (right ear)"),
]
FRIENDS = [  # no side, alone and beside each other
    *("length", "ear", "collar", "leftover", "roll", "tail", "bright", "upright", "copyright", "cleft", "droit"),
    *("right angle", "right-angled corner", "angle droit", "ligne droite", "rear", "lower lip", "upper lip", "reel"),
    *("wheel", "rump", "leg", "level", "lever", "lamp", "ramp", "lock", "rock", "blinker", "brightest spot", "prawo"),
    *("L1", "L2", "L3", "L4", "L5", "S1", "port", "der", "лев", "zuo"),
]


@pytest.mark.parametrize(("left", "right"), SPELLINGS + LANGUAGES)
def test_names_that_differ_in_side_are_a_pair_in_every_spelling(left, right):
    for first, second in ((left, right), (right, left)):
        assert mirrored_pairs([first, "nose", second, "tail"]) == ((0, 2),)
        assert mirrors(first, second) and not mirrors(first, "nose") and not mirrors(first, first)
    decomposed = [unicodedata.normalize("NFD", name) for name in (left, right)]
    assert mirrored_pairs([left, decomposed[1]]) == mirrored_pairs(decomposed) == ((0, 1),)


@pytest.mark.parametrize(("left", "right"), [pair for pair in SPELLINGS + LANGUAGES if "side of" not in pair[0]])
def test_which_of_a_pair_is_the_left_one(left, right):
    assert is_left(left, right) and not is_left(right, left)


def test_all_pairs_of_one_category_are_found_beside_each_other():
    for table in (SPELLINGS, LANGUAGES):
        names = [name for pair in dict(table).items() for name in pair]
        kept = [i for i, name in enumerate(names) if names.index(name) == i]
        names = [names[i] for i in kept]
        found = {frozenset((names[a], names[b])) for a, b in mirrored_pairs(names)}
        assert {frozenset(pair) for pair in dict(table).items()} - found == set()


@pytest.mark.parametrize("name", FRIENDS)
def test_a_false_friend_has_no_side(name):
    assert mirrored_pairs([name, "nose"]) == () and unpaired([name, "nose"], ()) == []


def test_false_friends_are_not_each_others_mirror_image():
    assert mirrored_pairs(FRIENDS) == () and unpaired(FRIENDS, ()) == []
    assert mirrored_pairs(["leftover", "rightover", "right angle", "left angle"]) == ()


@pytest.mark.parametrize(
    "names",
    [
        [chr(letter) for letter in range(ord("A"), ord("T"))],
        [f"row {letter}" for letter in "ABCDEFGHIJKLMNOPQR"],
        ["R1", "R2", "C1", "L1"],
        ["R1", "R2"],
        ["left ear", "right eye"],
        ["L_ear", "R_eye"],
        ["linkes Ohr", "rechter Fuß"],
    ],
)
def test_letters_of_a_list_and_names_of_different_points_are_no_pairs(names):
    assert mirrored_pairs(names) == ()


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["FL", "FR", "RL", "RR"], ((0, 1), (2, 3))),
        (["LF", "LR", "RF", "RR"], ((0, 2), (1, 3))),
        (["L_eye_L", "L_eye_R", "R_eye_L", "R_eye_R"], ((0, 3), (1, 2))),
        (["left wheel", "left wheel", "right wheel", "right wheel"], ((0, 2), (1, 3))),
        (["L_toe", "M_toe", "R_toe"], ((0, 2),)),
        (["L1", "L2", "R1", "R2", "T1", "A1", "A2"], ((0, 2), (1, 3))),
        (["left links", "right links"], ((0, 1),)),
        (["rear left", "rear right", "lear", "rear"], ((0, 1), (2, 3))),
        (["LEFT_EYE", "right eye"], ((0, 1),)),
    ],
)
def test_pairs_of_whole_categories(names, pairs):
    assert mirrored_pairs(names) == pairs


# --- sides without a partner ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *(
            "left ear",
            "ear_right",
            "LeftEar",
            "leftear",
            "frontrightpaw",
            "left1",
            "rightmost leaf",
            "right-hand shelf",
        ),
        *("linkes Ohr", "Ohr rechts", "linkeroor", "oreille gauche", "oreille droite", "ojo izquierdo", "ojo derecho"),
        *(
            "orelha direita",
            "occhio destro",
            "prawa łapa",
            "левое ухо",
            "左眼",
            "眼睛（右）",
            "left side of the right eye",
        ),
    ],
)
def test_a_side_in_words_needs_a_partner(name):
    assert unpaired(["nose", name], ()) == [1]
    assert unpaired(["nose", name], [(0, 1)]) == []


@pytest.mark.parametrize(
    ("names", "alone"),
    [
        (["L_ear", "R_ear", "L_eye"], [2]),
        (["earL", "earR", "eyeL", "tail", "lower lip", "roll"], [2]),
        (["paw1LH", "paw1RH", "paw1LF", "PR"], [2]),
        (["L_hip", "R_hip", "L1", "L2", "L3"], []),
        (["L_hip", "R_hip", "disc L4"], []),
        (["L1", "R1", "L2"], [2]),
        (["lear", "rear", "rump", "leg"], []),
        (["œil gauche", "œil droit", "bras droit"], [2]),
        (["port wing", "starboard wing", "port light"], [2]),
        (["L_ear", "nose"], []),
    ],
)
def test_letters_and_words_of_several_meanings_need_one_where_a_pair_of_the_category_is_made_by_them(names, alone):
    assert unpaired(names, mirrored_pairs(names)) == alone


@pytest.mark.parametrize(
    "name",
    [
        "between left and right eye",
        "left/right midpoint",
        "midpoint of left hip and right hip",
        "jaw line from the image left ear to the image right ear",
        "zwischen linkem und rechtem Auge",
        "左右",
        "左眼和右眼的中点",
        "左目と右目の間",
    ],
)
def test_a_name_of_both_sides_has_none_of_its_own(name):
    assert unpaired([name], ()) == []


def test_a_point_that_the_given_pairs_leave_out_is_without_a_partner():
    assert unpaired(["left ear", "right ear", "nose"], ()) == [0, 1]


# --- words ---------------------------------------------------------------------------------------------------------


def test_the_sides_of_a_text_and_its_mirrored_name():
    assert sides_of("The LEFTMOST point, left of the right_ear") == {("english", "left"), ("english", "right")}
    assert sides_of("linke Pfote") == {("german and dutch", "left")} and sides_of("a right angle") == set()
    assert mirrored_name("Left_Ear") == "right ear" and mirrored_name("nose") == "nose"
    assert mirrored_name("L_ear") == "r ear"


def test_every_form_of_the_data_becomes_a_form_of_the_other_side_and_back():
    forms = side_words().forms
    for form, meanings in forms.items():
        assert form == form.lower() == unicodedata.normalize("NFKC", form)
        for word in meanings:
            for other in word.others:
                back = [known for known in forms[other] if known.entry == word.entry]
                assert any(form in known.others and known.left != word.left for known in back)


# --- any names -----------------------------------------------------------------------------------------------------

parts = st.sampled_from(
    [
        *(
            "left",
            "right",
            "L",
            "R",
            "l",
            "r",
            "LH",
            "RH",
            "linkes",
            "rechtes",
            "gauche",
            "droit",
            "droite",
            "左",
            "右",
        ),
        *("der", "ear", "Eye", "paw", "lock", "1", "2", "K", "N", "o", "_", "-", " ", ".", "'"),
    ]
)
made = st.lists(parts, min_size=1, max_size=5).map("".join).filter(str.strip)
anything = st.text(max_size=6).filter(str.strip)


@given(st.lists(made | anything, min_size=1, max_size=14))
def test_pairs_are_disjoint_and_flipping_twice_changes_nothing(names):
    pairs = mirrored_pairs(names)
    paired = [i for pair in pairs for i in pair]
    assert len(set(paired)) == len(paired) and all(0 <= a < b < len(names) for a, b in pairs)
    assert set(unpaired(names, pairs)).isdisjoint(paired)
    assert all(mirrors(names[a], names[b]) and mirrors(names[b], names[a]) for a, b in pairs)
    assert all(is_left(names[a], names[b]) or is_left(names[b], names[a]) for a, b in pairs)
    order = Category("thing", tuple(Keypoint(name, str(i)) for i, name in enumerate(names))).mirrored()
    assert [order[i] for i in order] == list(range(len(names)))


@given(
    st.lists(st.sampled_from(SPELLINGS + LANGUAGES), unique_by=lambda pair: plain_name(pair[0]), max_size=5),
    st.randoms(),
)
def test_the_order_of_the_points_does_not_matter(pairs, random):
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    other = random.sample(names, len(names))
    found = {frozenset((names[a], names[b])) for a, b in mirrored_pairs(names)}
    assert found == {frozenset((other[a], other[b])) for a, b in mirrored_pairs(other)}
