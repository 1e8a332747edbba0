"""How people ask for a look: synonyms, other languages, colours, strengths, subjects, filler, and words for none."""

from __future__ import annotations

import unicodedata

from engine.train.pictures import Random
from engine.train.wishes import Wish


def _words(text: str) -> tuple[str, ...]:
    return tuple(" ".join(word.split()) for word in text.split(","))


WORDS: dict[str, tuple[str, ...]] = {
    "natural": _words("""
        natural, nature, normal, none, nothing, no effect, no style, original, unchanged, plain, real,
        realistic, realism, photo, photograph, photographic, camera, real life, as it is, identity, clean, raw,
        untouched, video, film, natural light, naturlich, naturel, realista, ohne effekt, 自然
    """),
    "watercolor": _words("""
        watercolor, watercolour, watercolors, watercolours, water color, water colour, water colors, aquarelle,
        aquarell, acuarela, acquerello, aquarela, akwarela, акварель, 水彩, 수채화, gouache, wet on wet, washes, wash
        painting, water paint, watercolor painting, watercolour painting, pastel wash, 水彩画
    """),
    "oil painting": _words("""
        oil painting, oil paint, oil, oils, oil on canvas, oil paintings, painting in oil, painted in oils,
        impasto, van gogh, impressionist, impressionism, rembrandt, monet, brush strokes, brushstrokes, thick
        paint, painterly, acrylic, ölgemälde, oelbild, peinture à l'huile, óleo, pintura al oleo, pittura a
        olio, масло, 油画, 油絵, 油彩画
    """),
    "pencil sketch": _words("""
        pencil sketch, pencil, sketch, pencils, sketches, pencil drawing, drawing, graphite, hand drawn,
        hatching, crosshatch, charcoal, sketchbook, pencil art, drawn in pencil, line sketch, bleistift,
        bleistiftzeichnung, skizze, crayon à papier, dessin, dessin au crayon, croquis, lápiz, dibujo a lapiz,
        matita, desenho, карандаш, 铅笔, 鉛筆
    """),
    "ink": _words("""
        ink, inks, ink drawing, ink wash, sumi-e, sumi e, sumie, calligraphy, black ink, pen and ink, brush and
        ink, india ink, black and white ink, linocut, woodcut, stencil, brush pen, tusche, tinte, encre, encre
        de chine, tinta, inchiostro, тушь, 水墨, 墨, 먹
    """),
    "comic": _words("""
        comic, comics, comic book, comic strip, cartoon, cartoons, manga, anime, graphic novel, pop art,
        superhero, toon, cel shading, cel shaded, marvel, roy lichtenstein, animated, halftone, comique, bande
        dessinée, bande dessinee, bd, cómic, historieta, fumetto, zeichentrick, комикс,
        漫画, マンガ, コミック, 动漫, 만화
    """),
    "neon": _words("""
        neon, neon lights, neon light, neon sign, neon signs, neons, cyberpunk, synthwave, vaporwave, retrowave,
        glowing, glow, glowing lines, tron, blacklight, laser, fluorescent, neon glow, electric, rave,
        leuchtreklame, néon, neón, неон, 霓虹, ネオン, 네온
    """),
    "night": _words("""
        night, nighttime, night time, at night, midnight, moonlight, moonlit, moon, by night, dark night, day
        for night, nocturne, nocturnal, after dark, nights, starlight, dusk, nacht, nachts, mondlicht, nuit,
        clair de lune, noche, notte, noite, ночь, 夜, 夜晚, 밤
    """),
    "thermal": _words("""
        thermal, thermal camera, thermal vision, thermal imaging, heat, heat vision, heat map, heatmap, heat
        camera, infrared, infra red, thermography, predator vision, temperature, flir, thermal image, hot and
        cold, wärmebild, wärmebildkamera, infrarot, thermique, infrarouge, térmica, infrarrojo, termico,
        тепловизор, 热成像, サーモ
    """),
    "blueprint": _words("""
        blueprint, blueprints, blue print, technical drawing, technical plan, architect plan, architecture plan,
        engineering drawing, schematic, schematics, cyanotype, draft, drafting, white lines on blue,
        construction plan, cad, blaupause, bauplan, plan d'architecte, plan technique, plano, planos, cianotipo,
        чертёж, 蓝图, 設計図, 青写真, 설계도
    """),
    "pixel art": _words("""
        pixel art, pixel, pixels, pixelart, pixelated, pixelate, 8 bit, 8-bit, 8bit, 16 bit, 16-bit, retro game,
        video game, nintendo, gameboy, minecraft, arcade, sprite, old video game, blocky, lego, voxel,
        pixelkunst, pixelig, arte pixel, pixel kunst, пиксель, пиксель арт, 像素, ドット絵, ピクセルアート, 픽셀
    """),
    "mosaic": _words("""
        mosaic, mosaics, mosaic tiles, tiles, tile, tiled, roman mosaic, byzantine, stained glass, tessera,
        tesserae, stone mosaic, ceramic tiles, ravenna, gaudi, mosaik, mosaïque, mosaico, azulejo, мозаика, 马赛克,
        モザイク, 모자이크
    """),
    "gold": _words("""
        gold, golden, pure gold, gold statue, golden statue, gilded, gold leaf, gold relief, metal, brass,
        bronze, gold metal, liquid gold, made of gold, cast in gold, 24 karat, treasure, vergoldet, aus gold,
        goldene, doré, en or, oro, dorado, d'oro, dourado, золото, 黄金, 金, 골드
    """),
}  # fmt: skip
COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": _words(
        "red, reddish, crimson, scarlet, ruby, rot, roter, rotes, rouge, rojo, roja, rosso, красный, 红色, 赤"
    ),
    "orange": _words("orange, oranger, amber, naranja, arancione, laranja, оранжевый, 橙色, オレンジ"),
    "yellow": _words("yellow, yellowish, lemon, gelb, gelber, gelbes, jaune, amarillo, amarilla, giallo, жёлтый, 黄色"),
    "green": _words("green, greenish, emerald, grün, grüner, grünes, vert, verte, verde, зелёный, 绿色, 緑"),
    "turquoise": _words("turquoise, cyan, teal, aqua, türkis, turquesa, turchese, бирюзовый, 青色"),
    "blue": _words("blue, bluish, navy, blau, blauer, blaues, bleu, bleue, azul, blu, синий, 蓝色, 青"),
    "purple": _words("purple, violet, lilac, magenta, lila, violett, violette, morado, viola, roxo, фиолетовый, 紫色"),
    "pink": _words("pink, pinkish, rose, rosa, hot pink, розовый, 粉色, ピンク"),
}
STRENGTH_WORDS: dict[str, tuple[str, ...]] = {
    "soft": _words("""
        soft, softly, subtle, slight, slightly, gentle, faint, delicate, weak, mild, a little, a bit of, a hint of,
        half, sanft, sanftes, zart, leicht, leichtes, doux, léger, légère, suave, ligero, leggero, мягкий
    """),
    "strong": _words("""
        strong, strongly, bold, intense, heavy, vivid, extreme, very, really, powerful, super, max, a lot of, stark,
        starkes, kräftig, intensiv, fort, forte, intense, fuerte, intenso, сильный
    """),
}
PLACES = (
    "{words} {look}",
    "{words} {look}",
    "{words} {look}",
    "{look} in {words}",
    "{look}, {words}",
    "{look} {words}",
)
SUBJECTS = _words("""
    a cat, cat, a dog, dogs, a face, portrait, a person, people, a woman, a man, a child, my room, a city,
    street, city street, a house, a forest, trees, mountains, the sea, a beach, flowers, a flower, a car, a
    bird, a horse, sky, a concert, a dancer, dancing people, a band on stage, a guitar, a table, a cup of
    coffee, food, an old book, a dj, a robot, a dragon, a castle, a garden, a lake, clouds, a window, hands,
    eyes, a smile, friends, music, a party, a landscape, a still life, the desk, a streamer, two people
    talking, a fish, a bicycle, a train, winter, summer, rain
""")
TALK = _words("""
    good, morning, thanks, thank you, how are you, guys, people of the internet, live now, on air, we, you,
    they, is, are, was, the, with, without, over, under, today, tomorrow, yesterday, new, big, small, fast,
    slow, happy, sad, angry, crazy, nice, great, amazing, awesome, lovely, boring, secret, quiet, loud, best,
    ever, more, less, one, two, three, four, five, hundred, who, why, where, when, that, this, here, there,
    start, stop, pause, go, come on, show me, give me, look at, let us, time, world cup, chat, follow,
    like and share, donate, follower, viewer, channel, stream deck, microphone, headset, keyboard, computer,
    phone, internet, money, job, school, teacher, doctor, boss, family, mother, father, brother, baby, king,
    queen, princess, knight, soldier, pirate, ninja, samurai, witch, vampire, ghost, monster, alien, angel,
    demon, hero of the day, clown, cowboy, astronaut, mermaid, fairy, giant, dinosaur, wolf, bear, lion, monkey,
    elephant, snake, spider, frog, rabbit, mouse, cow, pig, chicken, bee, butterfly, shark, whale, mountain top,
    river, ocean, island, desert, cave, volcano, storm, thunder, wind, fog, star, planet, sun, rainbow,
    space station, rocket, ship, boat, plane, truck, bus, road, bridge, tower, church, temple, palace, village,
    town, market, shop, kitchen, bedroom, bathroom, office, library, museum, theatre, stadium, hospital, farm,
    park, pool, bread, cheese, pizza, cake, apple, banana, beer, wine, water glass, tea, rose garden, tulip,
    grass field, leaf, wood, stone wall, paper plane, cloth, leather, plastic, rubber, feather, fur coat, hair,
    beard, glasses, hat, dress, suit, shoes, mask, sword, shield, gun, bomb, war, peace, love, hate, dream,
    memory, future, past, ancient, medieval, modern, gothic, baroque, renaissance, victorian, cinema, movie,
    film noir, documentary, cinematic, epic, fantasy, science, magic, mystery, thriller, romance, comedy, drama,
    opera, jazz, rock band, techno, hip hop, piano, drums, violin, singer, football, basketball, tennis, chess,
    dance floor, birthday, wedding, halloween, easter, holiday, vacation, weekend, monday, friday, januar,
    danke, hallo, ich bin, wir, und, der, die, das, mein, heute, morgen, schön, toll, freunde, merci, salut,
    je suis, nous, et, le, la, les, mon, aujourd'hui, demain, beau, amis, gracias, yo soy, nosotros, y, el, los,
    mi, hoy, mañana, bonito, ciao, grazie, io sono, oggi, bello, obrigado, olá, hoje, tchau, спасибо, я, мы,
    сегодня, друзья, кот, собака, ありがとう, 今日, 私, 猫, 犬, 友達, おはよう, かわいい, 谢谢, 我, 今天, 朋友,
    猫咪, 漂亮, 안녕, 감사, 오늘, 친구, 고양이
""")
LEAD = (
    *("", "", "", "a ", "in ", "as ", "like ", "the ", "make it ", "turn it into ", "beautiful ", "an old ", "my "),
    *("a detailed ", "please ", "ein ", "une ", "un "),
)
TAIL = (
    *("", "", "", " style", " art", " look", " picture", " effect", " filter", " image", " please", "!", "."),
    *(", highly detailed", ", masterpiece", ", 4k", " stil", " estilo"),
)
JOINTS = (
    *("{subject} in {look}", "{subject} as {look}", "{look} of {subject}", "{look}, {subject}"),
    *("{subject}, {look}", "{look} {subject}", "{subject} {look}", "a {look} style {subject}"),
)


def draw_phrase(wish: Wish, random: Random) -> str:
    """One way of asking for it. For "natural" often words that name no look at all, or none."""
    chance = random.random()
    if wish.look == "natural" and chance < 0.6:
        return _aimless(random)
    word = _qualify(wish, wish.look if chance > 0.75 else _pick(WORDS[wish.look], random), random)
    if random.random() < 0.25:
        return word
    phrase = _pick(LEAD, random) + word + _pick(TAIL, random)
    if random.random() < 0.35:
        subject = _pick(SUBJECTS if random.random() < 0.6 else TALK, random)
        phrase = _pick(JOINTS, random).format(subject=subject, look=phrase.strip(" .!"))
    if random.random() < 0.1:
        phrase = _bare(phrase)
    return _misspell(phrase, random) if random.random() < 0.08 else phrase


def _qualify(wish: Wish, word: str, random: Random) -> str:
    """Put the colour's and the strength's words somewhere around the look's."""
    words = [_pick(COLOUR_WORDS[wish.colour], random)] if wish.colour else []
    if wish.strength:
        words.append(_pick(STRENGTH_WORDS[wish.strength], random))
    for place in random.permutation(len(words)):
        word = _pick(PLACES, random).format(words=words[place], look=word)
    return word


def _aimless(random: Random) -> str:
    chance = random.random()
    if chance < 0.15:
        return ""
    if chance < 0.35:
        letters = random.integers(97, 123, int(random.integers(3, 12)))
        return "".join(chr(letter) for letter in letters)
    if chance < 0.75:
        return " ".join(_pick(TALK, random) for _ in range(int(random.integers(1, 5))))
    return (
        _pick(LEAD, random)
        + _pick(SUBJECTS, random)
        + ("" if random.random() < 0.6 else " and " + _pick(SUBJECTS, random))
    )


def _bare(phrase: str) -> str:
    """Latin letters without their accents, as many people type them."""
    if max(phrase, default="") > "\u024f":
        return phrase
    return "".join(sign for sign in unicodedata.normalize("NFD", phrase) if not unicodedata.combining(sign))


def _misspell(phrase: str, random: Random) -> str:
    if len(phrase) < 6:
        return phrase
    at = int(random.integers(1, len(phrase) - 1))
    return phrase[:at] + phrase[at + 1 :]


def _pick(words: tuple[str, ...], random: Random) -> str:
    return words[int(random.integers(len(words)))]
