"""Names of artists, albums, tracks, shows and playlists, most of them plausible and some of them awkward."""

from __future__ import annotations

from sandbox.dice import Dice


def _words(text: str, separator: str | None = None) -> tuple[str, ...]:
    return tuple(text.split(separator))


ADJECTIVES = _words(
    "Amber Ancient Arctic Autumn Bitter Blue Borrowed Brass Bright Broken Burning Careful Cedar Circular Clever "
    "Cobalt Cold Copper Crimson Crooked Distant Double Dusty Eager Early Electric Empty Endless Faded Feral "
    "Final First Foreign Frozen Gentle Gilded Glass Golden Green Half Hidden Hollow Honest Hungry Idle Indigo "
    "Inner Iron Ivory Kind Last Late Little Lonely Long Loud Lucky Lunar Marble Mild Minor Modern Narrow "
    "Neon Northern Open Orange Pale Paper Patient Perfect Plain Polar Quiet Rapid Restless Royal Rusty Sacred "
    "Salt Scarlet Second Secret Shallow Silent Silver Slow Solar Southern Spare Static Still Strange Sudden "
    "Summer Tender Thin Thousand Tidal Tin Tired Tropical Twin Upper Velvet Violet Wandering Warm Western Wild "
    "Winter Wooden Yellow Young"
)
NOUNS = _words(
    "Acrobat Airport Alphabet Anchor Animal Answer Apple Arcade Archive Arrow Atlas Avenue Balcony Balloon Basement "
    "Beacon Bicycle Bird Border Bottle Boulevard Bridge Cabin Camera Canyon Carousel Castle Cathedral Ceiling "
    "Chapel Cinema Circle City Cloud Coast Comet Compass Corner Crane Crow Curtain Dancer Daughter Desert Diary "
    "Dream Echo Elevator Engine Evening Falcon Feather Ferry Field Fire Flag Forest Fountain Fox Garden Ghost "
    "Giant Harbor Heart Heron Highway Hill Horizon Horse Hotel Hour House Island Jacket Kitchen Ladder Lake "
    "Lantern Letter Library Light Machine Magnet Map Market Meadow Memory Mirror Monument Moon Morning Mountain "
    "Museum Needle Neighbour Night Ocean Orchard Orchid Painter Parade Passenger Picture Pilot Planet Pocket Poem "
    "Postcard Radio Rain Raven River Road Room Sailor Satellite Season Shadow Signal Sister Sky Sleeper Smoke "
    "Snow Soldier Song Sparrow Station Statue Stone Storm Story Stranger Street Sun Swimmer Table Telephone "
    "Temple Theatre Thunder Tiger Tower Traffic Train Umbrella Valley Village Voice Waltz Weather Whale Window "
    "Wire Wolf Year Zebra"
)
FIRST_NAMES = _words(
    "Ada Agnes Amara Anton Astrid Bela Bruno Carmen Cleo Dalia Dario Edith Elio Esther Farah Felix Greta Hugo Ines "
    "Iris Ivo Jonas Juno Karim Lena Leon Lior Lucia Magnus Maren Mateo Mila Nadia Noor Olga Otto Paloma Petra Rafael "
    "Rosa Ruben Sami Selma Soren Tara Theo Ursula Vera Viktor Yara Yusuf Zoe"
)
LAST_NAMES = _words(
    "Abara Almeida Aubert Bergman Blom Castellan Costa Danso Ekdahl Fontaine Garcia Haas Holm Ibarra Jansen Kaya "
    "Kowalski Larsen Lindqvist Lopes Marchetti Mendel Moreau Nakamura Novak Okafor Olsen Petrov Quispe Ricci "
    "Sandoval Silva Sorensen Tamm Torres Ueda Valente Varga Weiss Yilmaz Zafar Zeman"
)

SCRIPTS: dict[str, tuple[str, ...]] = {
    "ja": ("東京", "夜明け", "さくら", "カナリア", "星空", "海辺", "メロディー", "雨音", "ひまわり", "電車"),
    "ko": ("서울", "달빛", "바람", "겨울", "노래", "하늘", "비밀", "여름밤", "고양이", "파도"),
    "ru": ("Москва", "Ночь", "Северный ветер", "Дорога", "Зима", "Огонь", "Река", "Тишина", "Ёлка", "Весна"),
    "ar": ("ليل", "مدينة", "قمر", "صوت البحر", "حلم", "شمس", "طريق", "ورد", "سماء", "نجوم"),
    "el": ("Θάλασσα", "Νύχτα", "Όνειρο", "Ήλιος", "Φεγγάρι", "Δρόμος", "Βροχή", "Άνοιξη"),
    "he": ("לילה", "ירח", "ים", "חלום", "אור", "דרך", "רוח", "כוכב"),
    "hi": ("रात", "चाँद", "सपना", "बारिश", "सूरज", "नदी", "हवा", "दिल"),
    "vi": ("Đêm Hà Nội", "Mưa", "Trăng", "Biển Xanh", "Gió Mùa", "Tình Ca"),
}
AWKWARD_TITLES = (
    'Don\'t "Stop" (Now)',
    "Rock, Paper; Scissors",
    "50 % Off",
    "C:\\Music\\Demo",
    "👁️‍🗨️",
    "naïve café",
    "-",
    "=SUM(A1:A2)",
    "O'Brien's, \"Live\"",
    "ＦＵＬＬ　ＷＩＤＴＨ",
    "  Spaces  ",
    "null",
    "100",
    "Zoë & the Ærø Ångströms",
    "line\u2028separator",
)
GENRES = _words(
    "ambient,afrobeat,art pop,baroque,bebop,bossa nova,breakbeat,chillwave,cumbia,dancehall,darkwave,deep house,"
    "dream pop,drum and bass,dub,electro swing,fado,flamenco,folk metal,french pop,garage rock,german indie,"
    "gothic rock,grime,hard bop,highlife,hip hop,idm,indie folk,italo disco,jazz fusion,k-pop,krautrock,lo-fi,"
    "math rock,minimal techno,neo soul,norwegian pop,post-punk,power metal,psytrance,reggaeton,rocksteady,samba,"
    "shoegaze,ska,slowcore,stoner rock,synthpop,tango,trap,trip hop,turkish psych,uk garage,vaporwave,yacht rock",
    separator=",",
)
LABELS = ("Northlight", "Harbour Sound", "Tin Roof", "Ninth Street", "Papaya Records", "Kestrel", "Blue Door", "Self")
MOODS = ("Morning", "Focus", "Late Night", "Road Trip", "Kitchen", "Running", "Rainy Day", "Party", "Deep", "Sunday")
SHOW_TOPICS = ("History", "Science", "Football", "Cooking", "Markets", "Crime", "Books", "Cinema", "Cities", "Bugs")


def artist_name(dice: Dice, script: str) -> str:
    """A band or a person; outside Latin script, one or two words of that script."""
    if script != "latin":
        words = SCRIPTS[script]
        return dice.pick(words) if dice.chance(0.4) else f"{dice.pick(words)} {dice.pick(words)}"
    form = dice.below(6)
    if form == 0:
        return f"The {dice.pick(ADJECTIVES)} {dice.pick(NOUNS)}s"
    if form == 1:
        return f"{dice.pick(NOUNS)} & {dice.pick(NOUNS)}"
    if form == 2:
        return f"{dice.pick(ADJECTIVES)} {dice.pick(NOUNS)}"
    if form == 3:
        return f"{dice.pick(NOUNS).upper()}/{dice.pick(NOUNS).upper()}"
    return f"{dice.pick(FIRST_NAMES)} {dice.pick(LAST_NAMES)}"


def title(dice: Dice, script: str) -> str:
    """The name of an album or a track; one in fifty is awkward to quote, sort or print."""
    form = dice.below(50)
    if form == 0:
        return dice.pick(AWKWARD_TITLES)
    if script != "latin" and form < 30:
        return f"{dice.pick(SCRIPTS[script])} {dice.pick(SCRIPTS[script])}"
    if form < 15:
        return dice.pick(NOUNS)
    if form < 35:
        return f"{dice.pick(ADJECTIVES)} {dice.pick(NOUNS)}"
    if form < 42:
        return f"{dice.pick(NOUNS)} of the {dice.pick(ADJECTIVES)} {dice.pick(NOUNS)}"
    return f"No {dice.pick(NOUNS)} in the {dice.pick(NOUNS)}"
