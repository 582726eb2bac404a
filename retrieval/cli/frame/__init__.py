"""What every command shares: options, help pages, progress, interrupts, advice."""

from __future__ import annotations

from indexes.exports import lazy

TYPE_CHECKING = False  # typing is not imported for it
if TYPE_CHECKING:
    from retrieval.cli.frame import interrupts as interrupts
    from retrieval.cli.frame.advice import (
        advise as advise,
        in_options as in_options,
        larger_encoder as larger_encoder,
    )
    from retrieval.cli.frame.options import (
        FILE as FILE,
        FOLDER as FOLDER,
        NEW_FILE as NEW_FILE,
        WIDTH as WIDTH,
        WIDTHS as WIDTHS,
        RenamedOption as RenamedOption,
        Session as Session,
        SignatureOption as SignatureOption,
        columns as columns,
        device_option as device_option,
        emit as emit,
        filters as filters,
        given as given,
        installed_version as installed_version,
        on_terminal as on_terminal,
        one_form as one_form,
        option as option,
        require_labels as require_labels,
        session as session,
        shared as shared,
        shared_by as shared_by,
    )
    from retrieval.cli.frame.pages import Command as Command, Group as Group, option_hint as option_hint
    from retrieval.cli.frame.progress import Lines as Lines, watching as watching

lazy(__name__)
