"""An answer is right or wrong for what it says, never for the way in which it is put."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosting import bank
from hosting.answers import is_right
from hosting.bank import BankQuestion

QUESTIONS = bank.parse(bank.QUESTIONS.read_text("utf-8"))
PARIS = ("text", ["Paris"])
USA = ("text", ["USA", "United States", "United States of America"])
WATER = ("text", ["H2O"])
N42 = ("number", ["42"])
N1000 = ("number", ["1000"])
N1969 = ("number", ["1969"])
N0 = ("number", ["0"])
LONG = (
    "It lies on the river Seine and has been the centre of politics, trade and art for many centuries. "
    "Millions of visitors come each year to see the towers, the museums and the wide avenues of the city. "
    "Many kings lived there or close by, and the great revolution began in its streets, in the summer. "
)
STEPS = (
    "We split the task. First, 20 × 2 = 40. Then we look at what is left, 1 × 2 = 2. Now we add 40 and 2. "
)

RIGHT = [
    (PARIS, "Paris"),
    (PARIS, "paris."),
    (PARIS, "  PARIS\n"),
    (PARIS, "**Paris**"),
    (PARIS, "*Paris*."),
    (PARIS, "`Paris`"),
    (PARIS, "# Paris"),
    (PARIS, '"Paris"'),
    (PARIS, "The capital of France is Paris."),
    (PARIS, "The capital of France is **Paris**. It is also the country's largest city."),
    (PARIS, "Paris is the capital of France."),
    (PARIS, "Sure! The answer is: Paris"),
    (PARIS, "Answer: Paris, France"),
    (PARIS, "It's Paris!"),
    (PARIS, "Ｐａｒｉｓ"),
    (PARIS, "Páris"),
    (PARIS, "The French capital isn't London but Paris."),
    (PARIS, "Not London, but Paris."),
    (PARIS, "Paris is not only the capital, it is also the largest city."),
    (PARIS, "<think>Could be Lyon? No, it's Paris.</think>\n\nParis"),
    (PARIS, "They ask for the capital. Easy.</think>Paris"),
    (PARIS, "\\boxed{\\text{Paris}}"),
    (PARIS, "Paris. " + LONG),
    (PARIS, LONG + "So the capital of France is Paris."),
    (PARIS, LONG + "The capital is **Paris**, of course. " + LONG),
    (PARIS, "Die Hauptstadt von Frankreich ist Paris."),
    (PARIS, "- Paris"),
    (PARIS, "1. Paris"),
    (PARIS, "The capital of France is Paris (in French also Paris)."),
    (USA, "The USA."),
    (USA, "the united states"),
    (USA, "The United States of America, or USA."),
    (USA, "It is in the  United  States."),
    (WATER, "H₂O"),
    (WATER, "It is H2O, of course"),
    (WATER, "The formula is **H₂O**."),
    (("text", ["São Paulo"]), "Sao Paulo"),
    (("text", ["double helix"]), "A double-helix."),
    (("text", ["merci"]), "You say « merci »."),
    (("text", ["casa"]), "La casa"),
    (("text", ["children"]), 'The plural of "child" is "children".'),
    (("text", ["mice"]), "mouse → mice"),
    (N42, "42"),
    (N42, "42."),
    (N42, "The answer is 42."),
    (N42, "6 × 7 = 42"),
    (N42, "6*7=42"),
    (N42, "6 times 7 equals 42."),
    (N42, "Forty-two"),
    (N42, "forty two."),
    (N42, "**42**"),
    (N42, "$42$"),
    (N42, "$$6 \\times 7 = 42$$"),
    (N42, "\\(6 \\times 7 = \\boxed{42}\\)"),
    (N42, "The result is \\boxed{42}."),
    (N42, "42.0"),
    (N42, "42 dollars"),
    (N42, "42€"),
    (N42, "$42.00"),
    (N42, "Half of 84 is 42."),
    (N42, "42 is half of 84."),
    (N42, STEPS + "The result is 42."),
    (
        N42,
        "**Answer: 42**\n\n" + STEPS + "This shows it, as the parts of 40 and 2 and 1 and 20 fit together.",
    ),
    (N42, "<think>6*7 is 41? no 42</think>42"),
    (N1000, "1,000"),
    (N1000, "1.000"),
    (N1000, "1 000"),
    (N1000, "1\u202f000"),
    (N1000, "1'000"),
    (N1000, "1{,}000"),
    (N1000, "One thousand."),
    (N1000, "a thousand"),
    (("number", ["121"]), "One hundred and twenty-one."),
    (("number", ["39"]), "3 × 10 = 30 and 3 × 3 = 9, so 30 + 9 = 39"),
    (N1000, "10³ = 1000"),
    (N1000, "10^3 = 1,000.00"),
    (N1969, "In 1969."),
    (N1969, "Apollo 11 landed on July 20, 1969."),
    (N1969, "July 20th, 1969"),
    (N1969, "nineteen sixty-nine"),
    (N1969, "It was on 20 July 1969, when Apollo 11 landed with 2 men."),
    (N0, "0°C"),
    (N0, "Water freezes at 0 °C (32 °F)."),
    (N0, "zero degrees"),
]
WRONG = [
    (PARIS, ""),
    (PARIS, "   \n"),
    (PARIS, "London"),
    (PARIS, "Parisian"),
    (PARIS, "The Parisians know."),
    (PARIS, "Not Paris."),
    (PARIS, "It is not the city of Paris."),
    (PARIS, "Paris is not the capital of France."),
    (PARIS, "Paris isn't the capital; Lyon is."),
    (PARIS, "It is either Paris or Lyon."),
    (PARIS, "Paris or London"),
    (PARIS, "London or Paris"),
    (PARIS, "Paris, London, Berlin, Madrid, Rome"),
    (PARIS, "Paris / London / Berlin / Madrid"),
    (PARIS, "- London\n- Paris\n- Berlin\n- Rome"),
    (PARIS, "Paris. London. Berlin. Madrid."),
    (PARIS, "I don't know."),
    (PARIS, "I'm sorry, but I can't help with that."),
    (PARIS, "<think>The capital is Paris."),
    (PARIS, "<think>The capital is Paris.</think>"),
    (PARIS, "<think>Paris</think>London"),
    (PARIS, LONG + "I like the city of Paris with its light. " + LONG),
    (PARIS, "Hello! How can I help you today?"),
    (PARIS, "P a r i s"),
    (USA, "Canada"),
    (USA, "The states are united."),
    (WATER, "HO2"),
    (WATER, "CO2"),
    (("text", ["down"]), "downtown"),
    (("text", ["H2O"]), "2"),
    (N42, "41"),
    (N42, "420"),
    (N42, "142"),
    (N42, "4.2"),
    (N42, "-42"),
    (N42, "42nd"),
    (N42, "It is not 42."),
    (N42, "41 or 42"),
    (N42, "42 or 43"),
    (N42, "40, 41, 42"),
    (N42, "40, 41, 42, 43, 44, 45"),
    (N42, "Possible results: 41, 42 and 43."),
    (N42, "40 41 42 43 44 45 46"),
    (N42, "6 × 7 = 48"),
    (N42, "42 = 6 * 8 = 48"),
    (N42, "\\boxed{41}, not 42"),
    (N42, ""),
    (N42, "<think>42"),
    (N42, "forty"),
    (N42, "two and forty days"),
    (N42, "x42y"),
    (N42, "1,042"),
    (N1000, "100"),
    (N1000, "10,000"),
    (N1000, "10^3"),
    (("number", ["9"]), "81 divided by 9 is 8"),
    (N1969, "The 1960s."),
    (N1969, "1968"),
    (N1969, "1965, 1967, 1969"),
    (N0, "32"),
    (N0, "100 °C"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "answer"), RIGHT)
def test_a_right_answer_is_right_however_it_is_put(asked: tuple[str, list[str]], answer: str):
    assert is_right(answer, answers=asked[1], kind=asked[0])


@pytest.mark.parametrize(("asked", "answer"), WRONG)
def test_an_answer_that_does_not_commit_itself_to_the_right_one_is_wrong(
    asked: tuple[str, list[str]], answer: str
):
    assert not is_right(answer, answers=asked[1], kind=asked[0])


questions = st.sampled_from(QUESTIONS)
spaces = st.text(" \n\t\u00a0", max_size=3)
FRAMES = [
    "{}", "{}.", "**{}**", "*{}*", "The answer is {}.", "It's {}!", "Answer: {}", "{}, of course.", "Sure! {}",
    "<think>Let me see. Perhaps not {}?</think>\n{}", "> {}", "\\boxed{{{}}}", "The answer is:\n\n**{}**",
]  # fmt: skip


@given(questions, st.sampled_from(FRAMES), st.data(), spaces, spaces)
def test_every_accepted_answer_of_the_bank_is_right_in_any_frame(
    question: BankQuestion, frame: str, data: st.DataObject, before: str, after: str
):
    answer = data.draw(st.sampled_from(question.answers))
    answer = data.draw(st.sampled_from([answer, answer.upper(), answer.lower(), answer.title()]))
    said = before + frame.replace("{}", answer, 2).replace("{{", "{").replace("}}", "}") + after
    assert is_right(said, answers=question.answers, kind=question.kind)


@given(questions, questions)
def test_the_answer_to_another_question_is_wrong_unless_it_is_the_same_one(
    one: BankQuestion, other: BankQuestion
):
    if not {a.casefold() for a in one.answers} & {a.casefold() for a in other.answers}:
        said = f"The answer is {other.answers[0]}."
        words = {word for answer in one.answers for word in answer.casefold().split()}
        if not words & set(other.answers[0].casefold().split()):
            assert not is_right(said, answers=one.answers, kind=one.kind)


@given(st.text(max_size=300), questions)
def test_any_text_is_judged(text: str, question: BankQuestion):
    assert is_right(text, answers=question.answers, kind=question.kind) in (True, False)


@given(questions, st.sampled_from([", ", "; ", " ", "\n", " / ", " or "]), st.randoms(use_true_random=False))
def test_a_text_that_names_all_answers_is_right_for_hardly_any_question(
    question: BankQuestion, separator: str, rng: random.Random
):
    everything = [answer for one in QUESTIONS for answer in one.answers]
    rng.shuffle(everything)
    said = separator.join(everything)
    asked = rng.sample(
        QUESTIONS, 20
    )  # the search may choose those that it fools: still fewer than convict nobody
    assert sum(is_right(said, answers=one.answers, kind=one.kind) for one in asked) <= 5


@pytest.mark.parametrize("separator", [", ", "; ", " ", "\n", ". ", " or ", " and "])
def test_no_canned_text_is_right_for_more_than_an_eighth_of_the_bank(separator: str):
    everything = [answer for one in QUESTIONS for answer in one.answers]
    rng = random.Random(7)
    for count in (3, 8, 20, 40):
        said = separator.join(rng.sample(everything, count))
        right = sum(is_right(said, answers=one.answers, kind=one.kind) for one in QUESTIONS)
        assert right <= len(QUESTIONS) // 8, said


def test_a_server_that_repeats_the_question_is_wrong():
    for question in QUESTIONS:
        for wording in question.wordings:
            assert not is_right(wording, answers=question.answers, kind=question.kind), wording
