"""How people ask for a look: synonyms, other languages, colours, strengths, subjects, filler, and words for none."""

from __future__ import annotations

from engine.train.pictures import Random
from engine.train.wishes import Wish


def _words(text: str) -> tuple[str, ...]:
    return tuple(" ".join(word.split()) for word in text.split(","))


WORDS: dict[str, tuple[str, ...]] = {
    "natural": _words("""
        natural, nature, normal, none, nothing, no effect, no style, original, unchanged, plain, real,
        realistic, realism, photo, photograph, photographic, camera, real life, as it is, identity, clean, raw,
        untouched, video, film, natural light, natürlich, naturel, realista, ohne effekt, ohne
        stil, sans effet, sans style, sin efecto, senza effetto, sem efeito, without effect, off, 自然, 原图, нет
    """),
    "watercolor": _words("""
        watercolor, watercolour, watercolors, watercolours, water color, water colour, water colors, aquarelle,
        aquarell, acuarela, acquerello, aquarela, akwarela, акварель, 水彩, 수채화, gouache, wet on wet, washes, wash
        painting, water paint, watercolor painting, watercolour painting, pastel wash, 水彩画, watercolor sketch,
        watercolour drawing, aquarel, aquarellbild, aquarellfarben, acuarelas, acquerelli
    """),
    "oil painting": _words("""
        oil painting, oil paint, oil, oils, oil on canvas, oil paintings, painting in oil, painted in oils,
        impasto, van gogh, impressionist, impressionism, rembrandt, monet, brush strokes, brushstrokes, thick
        paint, painterly, acrylic, ölgemälde, oelgemälde, ölbild, oelbild, ölmalerei, öl auf leinwand, in öl gemalt,
        peinture à l'huile, à l'huile, huile sur toile, huile, tableau à l'huile, óleo, al óleo, pintura al óleo,
        óleo sobre tela, pintura a óleo, olio, a olio, pittura a olio, olio su tela, quadro a olio, dipinto a olio,
        olieverf, масло, маслом, картина маслом, 油画, 油絵, 油彩画, 유화
    """),
    "pencil sketch": _words("""
        pencil sketch, pencil, sketch, pencils, sketches, pencil drawing, drawing, graphite, hand drawn,
        hatching, crosshatch, charcoal, sketchbook, pencil art, drawn in pencil, line sketch, crayon, crayons,
        coloured pencil, colored pencils, bleistift, mit bleistift, bleistiftzeichnung, bleistiftskizze, skizze,
        zeichnung, gezeichnet, crayon à papier, au crayon, dessin, dessiné, dessin au crayon, croquis, lápiz, a lápiz,
        dibujo, boceto, dibujo a lápiz, matita, a matita, disegno, schizzo, desenho, desenho a lápis, lápis, potlood,
        potloodtekening, карандаш, карандашом, рисунок, эскиз, 铅笔, 铅笔画, 素描, 鉛筆, 鉛筆画, 연필, 스케치
    """),
    "ink": _words("""
        ink, inks, ink drawing, ink wash, sumi-e, sumi e, sumie, calligraphy, black ink, pen and ink, brush and
        ink, india ink, black and white ink, linocut, woodcut, stencil, brush pen, tusche, tinte, encre, encre
        de chine, à l'encre, tuschezeichnung, mit tusche, tinta, tinta china, a tinta, inchiostro, inchiostro di china,
        nanquim, inkt, тушь, тушью, 水墨, 水墨画, 墨, 먹, 수묵화
    """),
    "comic": _words("""
        comic, comics, comic book, comic strip, cartoon, cartoons, manga, anime, graphic novel, pop art,
        superhero, toon, cel shading, cel shaded, marvel, roy lichtenstein, animated, halftone, comique, bande
        dessinée, bd, historieta, fumetto, fumetti, fumettistico, quadrinhos, dibujos animados, zeichentrick,
        dessin animé, strip cartoon, stripverhaal, комикс, комиксы, мультфильм, 漫画, マンガ, コミック, アニメ, 动漫,
        卡通, 만화
    """),
    "neon": _words("""
        neon, neon lights, neon light, neon sign, neon signs, neons, cyberpunk, synthwave, vaporwave, retrowave,
        glowing, glow, glowing lines, tron, blacklight, laser, fluorescent, neon glow, electric, rave,
        leuchtreklame, neonlicht, neonlichter, neonreklame, lumière néon, luces de neón, luz de neón, luci al
        neon, luzes de néon, неон, неоновый, неоновые огни, 霓虹, 霓虹灯, ネオン, 네온
    """),
    "night": _words("""
        night, nighttime, night time, at night, midnight, moonlight, moonlit, moon, by night, dark night, day
        for night, nocturne, nocturnal, after dark, nights, starlight, dusk, nacht, nachts, mondlicht, nuit,
        clair de lune, la nuit, de nuit, bei nacht, noche, de noche, la noche, notte, di notte, noite, à noite, ночь,
        ночью, 夜, 夜晚, 夜景, 밤
    """),
    "thermal": _words("""
        thermal, thermal camera, thermal vision, thermal imaging, heat, heat vision, heat map, heatmap, heat
        camera, infrared, infra red, thermography, predator vision, temperature, flir, thermal image, hot and
        cold, wärmebild, waermebild, wärmebildkamera, infrarot, thermokamera, thermique, caméra thermique, infrarouge,
        térmica, cámara térmica, térmico, câmera térmica, infrarrojo, termocamera, infrarosso, тепловизор,
        инфракрасный, 热成像, サーモ, サーモグラフィー, 열화상
    """),
    "blueprint": _words("""
        blueprint, blueprints, blue print, technical drawing, technical plan, architect plan, architecture plan,
        engineering drawing, schematic, schematics, cyanotype, draft, drafting, white lines on blue,
        construction plan, cad, blaupause, bauplan, technische zeichnung, konstruktionszeichnung, plan d'architecte,
        plan technique, dessin technique, plano, planos, plano técnico, dibujo técnico, disegno tecnico, desenho
        técnico, progetto, cianotipo, cyanotypie, blauwdruk, чертёж, чертежи, 蓝图, 設計図, 青写真, 설계도
    """),
    "pixel art": _words("""
        pixel art, pixel, pixels, pixelart, pixelated, pixelate, 8 bit, 8-bit, 8bit, 16 bit, 16-bit, retro game,
        video game, nintendo, gameboy, minecraft, arcade, sprite, old video game, blocky, lego, voxel,
        pixelkunst, pixelig, verpixelt, pixelisé, arte pixel, pixel kunst, píxeles, arte de píxeles, пиксель, пиксели,
        пиксельный, пиксель арт, 像素, 像素画, ドット絵, ピクセルアート, 픽셀, 픽셀 아트
    """),
    "mosaic": _words("""
        mosaic, mosaics, mosaic tiles, tiles, tile, tiled, roman mosaic, byzantine, stained glass, tessera,
        tesserae, stone mosaic, ceramic tiles, ravenna, gaudi, mosaik, mosaiksteine, mosaïque, en mosaïque, mosaico,
        mosaicos, mosaici, azulejo, azulejos, mozaïek, mozaika, vitrail, vitrales, мозаика, мозаикой, 马赛克,
        モザイク, 모자이크
    """),
    "gold": _words("""
        gold, golden, pure gold, gold statue, golden statue, gilded, gold leaf, gold relief, metal, brass,
        bronze, gold metal, liquid gold, made of gold, cast in gold, 24 karat, treasure, vergoldet, aus gold,
        goldene, goldstatue, doré, dorée, en or, oro, de oro, dorado, dorada, d'oro, dourado, de ouro, goud, gouden,
        золото, золотой, из золота, 黄金, 金, 金色, 골드, 황금
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
        starkes, kräftig, kräftiger, kräftiges, intensiv, fort, forte, fuerte, intenso, сильный
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
    猫咪, 漂亮, 안녕, 감사, 오늘, 친구, 고양이, everyone, everybody, somebody, hi, hey, welcome, watching, soon,
    starting, back, right now, for, from, and then, but, because, it, he, she, his, her, our, their, some, any, all,
    very well, went, came, want, would, could, have, had, can you, could you, walk, eat, sleep, play, talk, learn,
    work, home,
    schöne, grüße, straße, mädchen, über, für, können, später, größe, tür, käse, frühstück, garçon, où, ça, français,
    été, fête, château, forêt, mère, père, frère, hôtel, tête, déjà, très, après, señor, niño, niña, año, mañana por la
    mañana, corazón, canción, también, aquí, está, día, perché, città, così, più, università, coração, irmão, não,
    avó, água, você, amanhã, dzień, dobry, proszę, ładny, hej, tack, tak, hvordan, kuchen, abend zusammen, люди, дом,
    улица, город, доброе утро, здравствуйте, как дела, музыка, да, хорошо, спасибо всем, 大家好, 早上好, 再见, 是, 不是,
    音乐, 家, 学校, 日本, 東京, こんばんは, さようなら, 元気ですか, 音楽, すし, 반가워요, 사랑, 음악, 학교, 집
""")
PROSE = (
    "i would like the whole picture to be {look} today, because my friends and i are going to play some music later",
    "please could you make everything that the camera sees look like {look} until i say something else",
    "imagine that somebody made this with {look}, a long time ago, in a small house beside a river",
    "we are sitting in the kitchen and talking about the weather, and all of it is {look}",
    "a young woman with long hair and a hat stands at the window and looks outside, {look}, by a famous artist",
    "{look}, best quality, sharp focus, award winning, trending, very beautiful, a lot of small things everywhere",
    "two children and their dog run along a road between trees in the morning, shown as {look}, with big clouds",
    "so what i want is this: no people, no text, no frame around it, only {look} and nothing else at all",
    "kannst du bitte das ganze bild so aussehen lassen wie {look}, damit meine freunde etwas zu lachen haben",
    "je voudrais que toute l'image devienne {look}, avec mes amis et la musique, merci beaucoup",
    "quiero que todo lo que ve la cámara sea como {look}, con mis amigos y la música, por favor",
)
ALPHABETS = (
    *("abcdefghijklmnopqrstuvwxyz",) * 4,
    *(
        "абвгдежзиклмнопрстуфхцчшыэюя",
        "αβγδεζηθικλμνξοπρστυφχψω",
        "あいうえおかきくけこさしすせそたちつてとなにのはまもよん",
    ),
    *("的一是了人在有我他这中大来上国和地到你说们为子时道出", "가나다라마바사아자차하고노도로모보소오요이지기시리는을"),
)
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
    chance = random.random()
    if chance < 0.06:
        phrase = _pick(PROSE, random).format(look=phrase.strip(" .!"))
    elif chance < 0.12:
        phrase = f"{_talk(7, random)} {phrase.strip(' .!')} {_talk(7, random)}"
    elif chance < 0.45:
        subject = _pick(SUBJECTS if random.random() < 0.6 else TALK, random)
        phrase = _pick(JOINTS, random).format(subject=subject, look=phrase.strip(" .!"))
    return _misspell(phrase, random) if random.random() < 0.1 else phrase


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
        letters = _pick(ALPHABETS, random)
        return "".join(letters[place] for place in random.integers(len(letters), size=int(random.integers(3, 12))))
    if chance < 0.7:
        return _talk(5, random)
    if chance < 0.74:
        return _talk(20, random)
    if chance < 0.78:
        return _pick(PROSE, random).format(look=_pick(SUBJECTS if random.random() < 0.5 else TALK, random))
    return (
        _pick(LEAD, random)
        + _pick(SUBJECTS, random)
        + ("" if random.random() < 0.6 else " and " + _pick(SUBJECTS, random))
    )


def _talk(most: int, random: Random) -> str:
    """Up to so many words or short phrases that mean no look."""
    return " ".join(_pick(TALK, random) for _ in range(int(random.integers(1, most))))


def _misspell(phrase: str, random: Random) -> str:
    """One letter too few, one twice, or two that changed places."""
    if len(phrase) < 6:
        return phrase
    at = int(random.integers(1, len(phrase) - 1))
    one, two = phrase[at], phrase[at + 1]
    return phrase[:at] + (two, one + one + two, two + one)[random.integers(3)] + phrase[at + 2 :]


def _pick(words: tuple[str, ...], random: Random) -> str:
    return words[int(random.integers(len(words)))]
