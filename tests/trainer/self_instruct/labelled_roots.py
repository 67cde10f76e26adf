"""What people would say that instructions ask for: by the number in an instruction's id the verb and its noun object.

Labelled by hand from the public files, whose texts are not here. A number alone asks for nothing, and neither do those
of the 175 seeds that are not named, nearly all questions. Of the 252 every third is labelled. The rules were written
with the seeds in view; the 252 were labelled before the rules saw them.
"""

SEEDS = """
    2 generate description; 3 describe situation; 4 generate title; 6 brainstorm list; 7 explain idiom; 8 generate
    haiku; 9 recommend movie; 10 suggest game; 11 make list; 12 explain behavior; 13 output dependency; 14 write
    pair; 15 write word; 16 identify disease; 17 create checklist; 18 reply; 20 write scene; 21 create question; 22
    find subset; 23 give recipe; 24 plan menu; 25 find number; 26 link entity; 28 add comment; 29 compose; 30 make
    list; 31 suggest completion; 32 explain; 33 create survey; 34 give suggestion; 35 solve equation; 36 write
    adjective; 37 replace comment; 38 come synonym; 39 extract name; 40 make plan; 41 generate expression; 42 tell;
    43 find misspelling; 44 add thing; 45 answer problem; 46 write example; 47 write conversation; 48 answer
    question; 49 come metaphor; 50 parse query; 51 suggest word; 52 suggest routine; 53 return word; 54 explain
    stereotype; 55 give joke; 56 write spell; 57 write sentence; 58 convert measurement; 59 write story; 60 give
    definition; 61 fill mask; 62 summarize document; 63 write joke; 64 make summarization; 65 write collocation; 66
    replace token; 67 find word; 68 generate response; 69 generate program; 71 write recipe; 72 write function; 74
    write letter; 75 generate title; 76 make flavor; 77 use counterstereotype; 78 replace name; 79 complete lyric;
    80 write list; 81 make list; 82 explain ending; 83 read paragraph; 84 come question; 85 extract name; 86
    complete paragraph; 87 write answer; 89 create description; 90 give phrase; 91 create budget; 92 verify; 93 tell
    joke; 94 identify bias; 95 explain; 96 write text; 97 rewrite sentence; 98 paraphrase paragraph; 99 give
    description; 100 turn offer; 101 translate sentence; 103 explain question; 104 tell; 105 give example; 106
    design puzzle; 107 give example; 108 replace placeholder; 109 solve problem; 110 convert; 112 write question;
    113 use stereotype; 114 detect; 115 give address; 116 try; 117 translate sentence; 119 expand outline; 120
    return number; 121 create budget; 122 analyze sentence; 123 make; 124 write review; 125 write recipe; 126
    convert; 128 generate continent; 129 write letter; 130 explain; 132 sort list; 134 fill blank; 135 output tag;
    136 solve problem; 137 summarize email; 138 write code; 139 write program; 140 write script; 141 write code; 142
    give answer; 143 give law; 144 solve system; 145 plan syllabus; 146 rank university; 147 rank country; 148
    identify tag; 149 detect; 150 compare meaning; 151 tell; 152 tell; 153 tell; 154 identify; 155 decide; 156
    choose topic; 157 classify sentiment; 158 read code; 159 predict intent; 160 tell; 161 answer question; 162
    find; 163 select person; 164 find; 165 classify; 166 tell; 168 predict; 169 identify category; 170 select
    sentence; 171 classify; 172 detect; 173 classify; 174 tell
"""
USER_252 = """
    0 rewrite sentence; 3 convert; 6; 12 look; 15 calculate column; 18 design palette; 21 provide example; 24 write
    template; 27 answer question; 30; 33 write description; 36; 39 create code; 42 write guide; 45 describe
    metaphor; 48 take time; 51 suggest paper; 54 write bio; 57 write letter; 60 write section; 63 help post; 66
    brainstorm idea; 69 find answer; 72 give motto; 75 write email; 81 give summary; 84 let; 87 make list; 90
    evaluate answer; 93 provide solution; 96 analyze problem; 99 improve article; 102 answer question; 105 list
    course; 108 give tip; 111 list; 114 estimate cost; 117 give idea; 120 give tip; 123 plan agenda; 126 give tip;
    129 provide hack; 132 suggest recipe; 135 think; 138 suggest book; 141 prove statement; 144 provide formula; 147
    write quote; 150 identify word; 153 respond; 156 change response; 159 give summary; 162 take look; 165 give
    category; 168 give example; 171 describe responsibility; 174 find direction; 177 recommend activity; 180 come
    name; 183 categorize magazine; 186 come idea; 189 create alliteration; 192 list concept; 195 convert; 198 create
    list; 201 provide name; 204 invent word; 207 create introduction; 213 review description; 216 create template;
    219 write ticket; 222 include note; 225 provide rating; 228 make list; 231 translate description; 234 predict;
    237 create recipe; 240 rewrite text; 243 identify language; 246 expand sentence; 249 suggest name
"""


def labels(listed: str) -> dict[int, tuple[str | None, str | None]]:
    """Verb and object by number."""
    found: dict[int, tuple[str | None, str | None]] = {}
    for one in listed.split(";"):
        number, *said = one.split()
        verb, noun = (*said, None, None)[:2]
        found[int(number)] = verb, noun
    return found
