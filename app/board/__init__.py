"""The lead's board: who reported, who is stuck, who has been silent, and for how long.

`state` is the quiet corner that says where a member stands, `facts` reads a team at once,
`team` puts the pages together, `export` the CSV.
"""

from app.board.export import export
from app.board.member import MemberPage, member_page, name_of
from app.board.team import Board, Wanted, board

__all__ = ["Board", "MemberPage", "Wanted", "board", "export", "member_page", "name_of"]
