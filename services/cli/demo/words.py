"""Readable titles from the till's abbreviations: the data holds categories, types and sizes, but no product names."""

from __future__ import annotations

import re

_WORDS = {
    "ACC": "Accessories",
    "ACCSS": "Accessories",
    "BG": "Bags",
    "BKD": "Baked",
    "BN": "Bean",
    "BNDGES": "Bandages",
    "BRD": "Breaded",
    "BRKFST": "Breakfast",
    "BTL": "Bottle",
    "BTR": "Butter",
    "BULK&BA": "Bulk & Bag",
    "BULK&BAG": "Bulk & Bag",
    "CARB": "Carbonated",
    "CATFD": "Cat Food",
    "CHIX": "Chicken",
    "CHOC": "Chocolate",
    "CHOCOCLATE": "Chocolate",
    "CHOCOL": "Chocolate",
    "CHOCOLA": "Chocolate",
    "CIG": "Cigarette",
    "CKE": "Cake",
    "CKYS": "Cookies",
    "CLEANE": "Cleaners",
    "CLEANG": "Cleaning",
    "CND": "Canned",
    "CNDLES": "Candles",
    "CNDY": "Candy",
    "CNTRL": "Control",
    "COMBIN": "Combinations",
    "CONC": "Concentrate",
    "CONTAINR": "Containers",
    "COOKI": "Cookies",
    "CRACKE": "Crackers",
    "CRBNTD": "Carbonated",
    "CRKR": "Crackers",
    "CRMD": "Creamed",
    "CRYSTL": "Crystal",
    "DEOD": "Deodorant",
    "DINE": "Dinners",
    "DISPOSIBLE": "Disposable",
    "DNR": "Dinner",
    "DNRS": "Dinners",
    "DOGFD": "Dog Food",
    "DPS": "Dips",
    "DRNK": "Drink",
    "DRNKING": "Drinking",
    "DRNKNG": "Drinking",
    "DRNKS": "Drinks",
    "DRP": "Drops",
    "DRSNG": "Dressing",
    "DSH": "Dishes",
    "FD": "Food",
    "FDS": "Foods",
    "FEM": "Feminine",
    "FLAV": "Flavored",
    "FLV": "Flavor",
    "FLVR": "Flavored",
    "FLVRD": "Flavored",
    "FRD": "Fried",
    "FRE": "Fresh",
    "FRZ": "Frozen",
    "FRZN": "Frozen",
    "GDS": "Goods",
    "GNGR": "Ginger",
    "GRND": "Ground",
    "HANDKE": "Handkerchiefs",
    "HYGN": "Hygiene",
    "INCL": "Included",
    "INCLUDI": "Included",
    "JCE": "Juice",
    "JUI": "Juice",
    "JUIC": "Juice",
    "LIQ": "Liquid",
    "LIQS": "Liquids",
    "LNCHMT": "Lunchmeat",
    "LOAVE": "Loaf",
    "LOZNG": "Lozenges",
    "LSS": "Less",
    "LT": "Light",
    "LTR": "Lighter",
    "MACH": "Machine",
    "MARIN": "Marinades",
    "MFG": "Manufacturer",
    "MISC": "Assorted",
    "MISCELLANEOUS": "Assorted",
    "MLK": "Milk",
    "MLT": "Multi",
    "MNERAL": "Mineral",
    "MNR": "Mineral",
    "MNRL": "Mineral",
    "MUSTAR": "Mustard",
    "MXS": "Mixes",
    "NATRL": "Natural",
    "PAC": "Pack",
    "PCKGD": "Packaged",
    "PICAN": "Picante",
    "PICKLD": "Pickled",
    "PKG": "Pack",
    "PKGD": "Packaged",
    "PKLD": "Pickled",
    "PLSTC": "Plastic",
    "PNCH": "Punch",
    "PNT": "Peanut",
    "PORTON": "Portion",
    "PPK": "Prepacked",
    "PREM": "Premium",
    "PREP": "Prepared",
    "PREPORTND": "Preportioned",
    "PRESLC": "Presliced",
    "PROTIEN": "Protein",
    "PRPCK": "Prepacked",
    "PRSLC": "Presliced",
    "PWDR": "Powder",
    "PWDRS": "Powders",
    "REFIGERATED": "Refrigerated",
    "REFRGRATD": "Refrigerated",
    "REFRIG": "Refrigerated",
    "REG": "Regular",
    "RETL": "Retail",
    "RTS": "Ready to Serve",
    "SAL": "Salad",
    "SALD": "Salad",
    "SAUS": "Sausage",
    "SEASO": "Seasoning",
    "SFT": "Soft",
    "SGL": "Single",
    "SHERBTS": "Sherbets",
    "SHLFSH": "Shellfish",
    "SNDWCH": "Sandwich",
    "SNGL": "Single",
    "SNKS": "Snacks",
    "SPECILATY": "Specialty",
    "SPLY": "Supplies",
    "SPRD": "Spread",
    "SRV": "Serve",
    "STK": "Stick",
    "SUBS": "Substitutes",
    "SUP": "Super",
    "SUPPPLIES": "Supplies",
    "SV": "Serve",
    "SW": "Sweet",
    "SWEETNERS": "Sweeteners",
    "SWT": "Sweet",
    "SYRP": "Syrup",
    "TISS": "Tissue",
    "TORT": "Tortilla",
    "TRSH": "Trash",
    "UNSWE": "Unsweetened",
    "VEG": "Vegetable",
    "VEND": "Vending",
    "WATE": "Water",
    "WHL": "Whole",
    "WHLSM": "Wholesome",
    "WRA": "Wraps",
    "WTR": "Water",
    "XMAS": "Christmas",
    "BEERALE": "Beer & Ale",
    "BEERALEMALT": "Beer, Ale & Malt",
    "SAUCESSALSAPICANTEE": "Sauces & Salsa",
    "BBQ": "BBQ",
    "HBC": "Care",
    "TV": "TV",
    "OJ": "Orange Juice",
    "IQF": "Quick Frozen",
    "GM": "Household",
    "PIZZA&INGRED": "Pizza & Ingredients",
    "CHIPS&SNACKS": "Chips & Snacks",
    "FITNESS&DIET": "Fitness & Diet",
    "ET": "Style",
    "CRABETC": "Crab",
    "CTLRYTBLCLTHSTTHPKSST": "Cutlery & Tablecloths",
    "RW": "Random Weight",
    "MW": "Microwave",
}
_WHOLE = {
    "DRUG GM": "Drugstore & Household",
    "MEAT-PCKGD": "Packaged Meat",
    "SEAFOOD-PCKGD": "Packaged Seafood",
    "CNTRL/STORE SUP": "Store Supplies",
    "GM MERCH EXP": "Household",
    "MISCELLANEOUS": "Miscellaneous",
    "FLUID MILK WHITE ONLY": "White Milk",
    "YOGURT NOT MULTI-PACKS": "Yogurt",
    "SFT DRNK 2 LITER BTL CARB INCL": "Soft Drink 2 Liter Bottle",
}
_QUALITIES = frozenset(
    ["ANGUS", "BLENDS", "BUTTS", "DIPS", "DRY", "ECONOMY", "ENHANCED", "ENTREES", "EXTERNAL", "FLAVORED", "FRESH", "INTERNAL", "KITS", "LEAN", "LINKS", "LOAVE", "MAINSTREAM", "MICROWAVE", "MISCELLANEOUS", "NATURAL", "OTHER", "OVEN", "PATTIES", "PREMIUM", "PRIMAL", "QUARTS", "REGULAR", "SEASONAL", "SELECT", "SNACKS", "TRADITIONAL", "TREATS", "VALUE"]
)
"""Types that say nothing without their category: `LEAN` of `BEEF`."""
_UNITS = {
    "OZ": "oz",
    "LB": "lb",
    "CT": "ct",
    "PK": "pack",
    "GA": "gal",
    "GAL": "gal",
    "PT": "pt",
    "QT": "qt",
    "FT": "ft",
    "DZ": "dozen",
}


def words(text: str) -> str:
    """A category or type in title case with abbreviations written out."""
    text = text.strip()
    if text in _WHOLE:
        return _WHOLE[text]
    if text.count("(") > text.count(")"):
        text = text[: text.rindex("(")].strip()  # the source cuts types after 30 characters
    text = re.sub(r"[/\-:(&,]\s*[A-Z]?$", "", text).strip()
    text = re.sub(r"(?<=[A-Z])\.(?=\s|$)", "", text)
    made = re.sub(r"[A-Z]+(?:[&'][A-Z]+)*", lambda found: _WORDS.get(found[0]) or found[0].capitalize(), text)
    made = re.sub(r"\s*:\s*", ": ", re.sub(r"\s+", " ", made))
    return re.sub(r"(?<!^)\b(And|With|Or|Of|The|In|For)\b", lambda found: found[0].lower(), made)


def size(text: str) -> str:
    """``.98 OZ`` becomes ``0.98 oz``; empty stays empty."""
    text = text.strip()
    found = re.fullmatch(r"([\d./\-]*)\s*([A-Z .]+)", text)
    if not found:
        return text.lower()
    number, unit = found[1] or "1", found[2].strip()
    number = f"0{number}" if number.startswith(".") else number
    return f"{number} {_UNITS.get(unit, unit if unit in ('L', 'ML') else unit.lower())}"


def title(department: str, category: str, kind: str, package: str) -> str:
    """What customers read: ``Lean Beef``, ``Shredded Cheese, 8 oz``."""
    if kind.strip() in _QUALITIES and category:
        head = f"{words(kind)} {words(category.split('/')[0])}"
    else:
        head = words(kind or category or department)
    return f"{head}, {size(package)}" if package.strip() else head
