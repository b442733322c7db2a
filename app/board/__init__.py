"""The lead's board: who reported, who is blocked, who has been silent, and for how long.

`workload` reads tasks and reports of a team at once, app/rules/standing.py says where each member
stands, `team` and `member` put the pages together, `export` the CSV.
"""

from app.board.export import export
from app.board.member import MemberPage, member_page, name_of
from app.board.team import Board, Wanted, board

__all__ = ["Board", "MemberPage", "Wanted", "board", "export", "member_page", "name_of"]
