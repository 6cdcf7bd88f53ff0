"""Queries as people put them, and how each is understood; the domains' categories beside them."""

STREAMING = (
    "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War",
)  # fmt: skip
SHOPPING = (
    "Running Shoes", "Shoes", "Jackets", "Laptops", "Headphones", "Books", "Toys", "Phones",
)  # fmt: skip
SOCIAL = ("Hiking", "Cooking", "Photography", "Politics", "Technology", "Music", "Travel")
TITLES = (
    "Alien (1979)", "Matrix, The (1999)", "Toy Story (1995)", "Blade Runner (1982)", "Trailblazer 2",
)  # fmt: skip

QUERIES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        STREAMING,
        "something like Alien but not scary",
        "like: Alien (1979); without: scary (Horror)",
    ),
    (
        STREAMING,
        "short funny films, no horror",
        "wanted: funny (Comedy); without: Horror; duration: at most 90 min",
    ),
    (STREAMING, "films like The Matrix", "like: Matrix, The (1999)"),
    (
        STREAMING,
        "movies similar to Toy Story for kids",
        "wanted: kids (Children's); like: Toy Story (1995)",
    ),
    (
        STREAMING,
        "a romantic comedy from the 90s that isn't too long",
        "wanted: romantic (Romance), Comedy; years: 1990 to 1999; not the duration: at least 150 min",
    ),
    (STREAMING, "feel-good movies without violence", "wanted: feel-good; without: violence"),
    (
        STREAMING,
        "award winning war dramas before 1960",
        "wanted: award, winning, War, Drama; years: until 1959",
    ),
    (STREAMING, "thrillers with a twist", "wanted: Thriller, twist"),
    (
        STREAMING,
        "something to watch with my children under 90 minutes",
        "wanted: Children's; duration: under 90 min",
    ),
    (STREAMING, "old black and white mysteries", "wanted: old, black, white, mysteries (Mystery)"),
    (STREAMING, "best sci-fi of the 80s", "wanted: best, Sci-Fi; years: 1980 to 1989"),
    (STREAMING, "no musicals please", "without: Musical"),
    (STREAMING, "a documentary about music or dance", "wanted: Documentary, music, dance"),
    (STREAMING, "funny but not stupid", "wanted: funny (Comedy); without: stupid"),
    (STREAMING, "more like Blade Runner", "like: Blade Runner (1982)"),
    (STREAMING, "dark fantasy but no romance", "wanted: dark, Fantasy; without: Romance"),
    (STREAMING, "in the style of Hitchcock", "wanted: style, hitchcock"),
    (STREAMING, "scary movies that aren't gory", "wanted: scary (Horror); without: gory"),
    (STREAMING, "I want to laugh", "wanted: laugh"),
    (
        STREAMING,
        "new animated films since 2010",
        "wanted: new, animated (Animation); years: from 2010 on",
    ),
    (SHOPPING, "cheap running shoes under 50 euros", "wanted: Running Shoes; price: at most 49.99"),
    (SHOPPING, "laptop under $800", "wanted: Laptops; price: at most 799.99"),
    (
        SHOPPING,
        "wireless headphones between 50 and 100 euros",
        "wanted: wireless, Headphones; price: 50.00 to 100.00",
    ),
    (
        SHOPPING,
        "a jacket for less than 80 €, not black",
        "wanted: Jackets; without: black; price: at most 79.99",
    ),
    (SHOPPING, "headphones over £200", "wanted: Headphones; price: at least 200.01"),
    (SHOPPING, "gifts for kids up to 20 dollars", "wanted: gifts, kids; price: at most 20.00"),
    (SHOPPING, "like the Trailblazer 2 but cheaper", "like: Trailblazer 2; cheap"),
    (SHOPPING, "waterproof hiking shoes", "wanted: waterproof, hiking, Shoes"),
    (SHOPPING, "phone around 300 euros", "wanted: Phones; price: 240.00 to 360.00"),
    (SHOPPING, "no leather shoes", "without: leather, Shoes"),
    (SHOPPING, "cheapest laptops", "wanted: Laptops; cheap"),
    (
        SHOPPING,
        "red or blue running shoes at most 60 EUR",
        "wanted: red, blue, Running Shoes; price: at most 60.00",
    ),
    (SOCIAL, "posts about hiking from this week", "wanted: Hiking, week"),
    (SOCIAL, "photography tips not about cameras", "wanted: Photography, tips; without: cameras"),
    (SOCIAL, "travel posts from Italy", "wanted: Travel, italy"),
    (SOCIAL, "cooking without meat", "wanted: Cooking; without: meat"),
    (SOCIAL, "no politics", "without: Politics"),
    (SOCIAL, "latest technology news", "wanted: latest, Technology, news"),
    (
        SOCIAL,
        "vegetarian recipes under 30 minutes",
        "wanted: vegetarian, recipes; duration: under 30 min",
    ),
    (SOCIAL, "music from today", "wanted: Music, today"),
)
"""Categories, query, and what it is understood as: also where that falls short."""
