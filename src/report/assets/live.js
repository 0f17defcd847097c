// Asks for the next version of the page, for as long as it is open, and puts it in the place of this one.
(() => {
  'use strict';
  const note = document.getElementById('live');
  const say = (text, lost) => {
    note.textContent = text;
    note.classList.toggle('lost', lost);
  };
  const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

  // What a person has unfolded, chosen or scrolled stays as it is.
  const keep = (from, to) => {
    for (const kept of from.querySelectorAll('details')) {
      const same = kept.id ? to.querySelector(`#${CSS.escape(kept.id)}`) : null;
      if (same) same.open = kept.open;
    }
    const folds = (page) => Array.from(page.querySelectorAll('details.fold:not([id])'));
    const [before, after] = [folds(from), folds(to)];
    after.forEach((fold, place) => {
      if (before[place]) fold.open = before[place].open;
    });
    for (const chosen of from.querySelectorAll('input[type=radio]')) {
      const same = to.querySelector(`#${CSS.escape(chosen.id)}`);
      if (same) same.checked = chosen.checked;
    }
  };

  const replace = (text) => {
    const next = new DOMParser().parseFromString(text, 'text/html');
    const [from, to] = [document.querySelector('main'), document.adoptNode(next.querySelector('main'))];
    keep(from, to);
    const canvas = from.querySelector('.canvas');
    const place = canvas ? [canvas.scrollLeft, canvas.scrollTop] : [0, 0];
    from.replaceWith(to);
    const drawn = to.querySelector('.canvas');
    if (drawn) [drawn.scrollLeft, drawn.scrollTop] = place;
    document.title = next.title;
    document.dispatchEvent(new Event('report-replaced'));
  };

  const follow = async () => {
    let seen = new Date();
    for (;;) {
      try {
        const version = document.querySelector('main').dataset.version;
        const answer = await fetch(`${location.pathname}?after=${encodeURIComponent(version)}`, { cache: 'no-store' });
        const text = await answer.text();
        if (!answer.ok) throw new Error(text.trim() || String(answer.status));
        replace(text);
        seen = new Date();
        say(`Live, read-only. As of ${seen.toLocaleTimeString()}`, false);
        await pause(300);
      } catch (error) {
        say(`Not up to date since ${seen.toLocaleTimeString()}: ${error.message}`, true);
        await pause(2000);
      }
    }
  };
  follow();
})();
