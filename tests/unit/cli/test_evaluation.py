from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from services.cli.demo import shop
from services.cli.errors import CliError
from services.cli.evaluation import plots
from services.cli.evaluation.baselines import most_popular, own_most_bought
from services.cli.evaluation.calibration import calibration_of
from services.cli.evaluation.document import writer_for
from services.cli.evaluation.measures import Background, measure
from services.cli.evaluation.plots import check_plots
from services.cli.evaluation.report import write_report
from services.cli.evaluation.split import cut
from services.cli.evaluation.summary import summarise


def lines() -> pd.DataFrame:
    """Two households buy ten products every week for a year; a third is seen twice."""
    rows = [
        (
            house,
            house * 1000 + week,
            product,
            1.0,
            2.0,
            pd.Timestamp("2017-01-01") + pd.Timedelta(days=7 * week, hours=house),
        )
        for house in (1, 2)
        for week in range(52)
        for product in (range(10) if house == 1 else range(5, 15))
    ]
    rows += [(3, 3000 + week, 0, 1, 2.0, pd.Timestamp("2017-02-01") + pd.Timedelta(days=week)) for week in range(2)]
    rows += [(1, 1000, 0, 0, 2.0, pd.Timestamp("2017-01-01"))]
    return pd.DataFrame(
        rows, columns=["household_id", "basket_id", "product_id", "quantity", "sales_value", "transaction_timestamp"]
    )


def products() -> pd.DataFrame:
    fields = ("manufacturer_id", "department", "brand", "product_category", "product_type", "package_size")
    return pd.DataFrame([{"product_id": n, **{field: f"{field} {n % 3}" for field in fields}} for n in range(15)])


def test_the_split_looks_only_back() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    split = cut(lines(), products(), now)
    assert split.users == ("household-1", "household-2"), "a household with two baskets is left out"
    assert len(split.items) == 15
    assert split.ages_days.min() > 0
    assert set(split.truth) == {0, 1}
    assert len(split.truth[0]) == 10
    assert split.baskets.tolist() == [48, 47], "the second household shops later than the cut in the week of the cut"
    assert [split.departments[split.items.index(item)] for item in ("0", "4")] == ["department 0", "department 1"]
    assert [len(split.paid[user]) for user in (0, 1)] == [len(split.truth[user]) for user in (0, 1)]
    assert set(split.paid[0].tolist()) == {8.0}, "four weeks at two dollars"
    prices = {line.unit_price.units for event in shop.iter_purchases(split.shop) for line in event.products}
    assert prices == {2}
    last = max(event.event_time.seconds for event in shop.iter_purchases(split.shop))
    assert last < now.timestamp()
    assert now.timestamp() - last < 8 * 86_400


def test_baselines_by_hand() -> None:
    split = cut(lines(), products(), datetime(2026, 6, 1, tzinfo=UTC))
    names = [split.items[item] for item in most_popular(split, [0], only_new=False)[0][:5]]
    assert sorted(names) == ["5", "6", "7", "8", "9"], "bought by both households"
    assert not {split.items[item] for item in most_popular(split, [0], only_new=True)[0]} & {str(n) for n in range(10)}
    own = own_most_bought(split, [1], 112.0)[1]
    assert {split.items[item] for item in own[:10]} == {str(n) for n in range(5, 15)}


def test_a_perfect_list_scores_one() -> None:
    split = cut(lines(), products(), datetime(2026, 6, 1, tzinfo=UTC))
    perfect = {user: items.tolist() for user, items in split.truth.items()}
    measured = measure(perfect, Background.of(split, split.truth))
    for name in ("ndcg@10", "recall@20", "map@10", "mrr@10", "hit_rate@10"):
        assert measured.by_user[name].tolist() == pytest.approx([1.0, 1.0]), name
    assert measured.by_user["revenue@10"].tolist() == [8.0 * 10, split.paid[1].sum()]
    assert measured.by_user["miscalibration_bits"].tolist() == pytest.approx([0.0, 0.0], abs=0.01)
    assert measured.coverage == 1.0


def test_a_household_without_a_list_scores_zero() -> None:
    split = cut(lines(), products(), datetime(2026, 6, 1, tzinfo=UTC))
    measured = measure({1: split.truth[1].tolist()}, Background.of(split, split.truth))
    assert measured.by_user["ndcg@10"].tolist() == pytest.approx([0.0, 1.0])
    assert np.isnan(measured.by_user["novelty_bits"][0])


def many_lines() -> pd.DataFrame:
    """Ninety households of different activity buy from their own corner of fifteen products."""
    random = np.random.default_rng(3)
    rows = []
    for house in range(90):
        for week in sorted(random.choice(40, 10 + house // 3, replace=False).tolist()) + [49, 50, 51]:
            moment = pd.Timestamp("2017-01-01") + pd.Timedelta(days=7 * week, hours=house % 24)
            for product in {(house + int(step)) % 15 for step in random.integers(0, 6, 4)}:
                rows.append((house, house * 1000 + week, product, 1.0, 2.0, moment))
    return pd.DataFrame(rows, columns=lines().columns)


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    split = cut(many_lines(), products(), datetime(2026, 6, 1, tzinfo=UTC))
    background = Background.of(split, split.truth)
    users = list(split.truth)
    own = own_most_bought(split, users, None)
    models = {
        "popularity": most_popular(split, users, only_new=False),
        "own most-bought, decayed": own,
        "reversed <own>": {user: items[::-1] for user, items in own.items()},
    }
    return summarise({"all": {name: measure(found, background) for name, found in models.items()}}, {"python": "3"})


def test_models_are_compared_in_pairs_and_by_slice(figures: dict[str, Any]) -> None:
    mode = figures["modes"]["all"]
    assert set(mode["against_baseline"]) == {"popularity", "reversed <own>"}
    worse = mode["against_baseline"]["reversed <own>"]
    assert worse["high"] < 0
    assert worse["p"] <= worse["p_holm"] < 0.05
    assert {"light users", "heavy users"} <= set(mode["slices"])
    sizes = [found["households"] for name, found in mode["slices"].items() if name.endswith("users")]
    assert sum(sizes) <= mode["households"] == 90
    own = mode["slices"]["heavy users"]["models"]["own most-bought, decayed"]
    assert own["difference"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert json.loads(json.dumps(figures)) == figures


def test_the_html_report_needs_nothing_beside_it(figures: dict[str, Any], tmp_path: Path) -> None:
    check_plots()
    path = tmp_path / "report.html"
    curve = [{"predicted": 0.1, "observed": 0.12, "low": 0.05, "high": 0.2, "counts": 40}]
    write_report(path, figures | {"calibration": {"rows": 40, "ece": 0.02, "bins": curve}})
    text = path.read_text()
    assert text.count("<svg") == 4
    assert "<script" not in text
    assert "<img" not in text
    assert "reversed &lt;own&gt;" in text
    for choice in ("ties", "seen items", "query time", "split"):
        assert f"<td>{choice}</td>" in text
    assert list(tmp_path.iterdir()) == [path]
    write_report(again := tmp_path / "again.html", figures)
    write_report(path, figures)
    assert again.read_text() == path.read_text(), "the same figures give the same file"


def test_the_markdown_report_names_drawings_that_exist(figures: dict[str, Any], tmp_path: Path) -> None:
    write_report(tmp_path / "report.md", figures)
    text = (tmp_path / "report.md").read_text()
    drawings = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert len(drawings) == 3
    assert all((tmp_path / name).read_text().startswith("<svg") for name in drawings)
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert all(len({line.count(" | ") for line in table}) == 1 for table in tables)


def test_reports_that_cannot_be_written_are_refused_early(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"must end in \.html or \.md"):
        writer_for(tmp_path / "report.pdf")
    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    with pytest.raises(CliError, match="needs matplotlib"):
        check_plots()


def test_reliability_of_written_predictions(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("predicted,outcome\n" + "0.25,0\n0.25,0\n0.25,0\n0.25,1\n" * 10)
    found = calibration_of(path)
    assert (found["rows"], found["ece"]) == (40, 0.0)
    path.write_text("predicted,outcome\n0.5,1\n1.5,0\n")
    with pytest.raises(CliError, match=r"predicted\[1\] is 1.5"):
        calibration_of(path)
