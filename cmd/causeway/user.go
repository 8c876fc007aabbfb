package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"causeway/internal/auth"
)

// userCmd is about who may sign in to the console.
type userCmd struct {
	Add     userAddCmd     `cmd:"" help:"Add a user and print a link by which they choose a password."`
	List    userListCmd    `cmd:"" help:"List them with their roles."`
	Role    userRoleCmd    `cmd:"" help:"Replace the roles of a user."`
	Reset   userResetCmd   `cmd:"" help:"Print a link by which a user chooses a new password."`
	SignOut userSignOutCmd `cmd:"" help:"End the sessions of a user."`
	Remove  userRemoveCmd  `cmd:"" help:"Remove a user; sessions and tokens of theirs work no longer."`
}

// madeLink is a one-time link as the server answers it.
type madeLink struct {
	Email, Path string
	ExpiresAt   time.Time
}

// print writes the link, and nothing else, on standard output.
func (l madeLink) print(cli *cliContext, client *adminClient, asJSON bool) error {
	link := client.base.String() + l.Path
	if asJSON {
		return printJSON(cli.Stdout, map[string]string{"email": l.Email, "link": link, "expiresAt": l.ExpiresAt.Format(time.RFC3339)})
	}
	fmt.Fprintf(cli.Stderr, "%s chooses a password here; the link works once, until %s\n", l.Email, l.ExpiresAt.Local().Format("15:04"))
	_, err := fmt.Fprintln(cli.Stdout, link)
	return err
}

type userAddCmd struct {
	serverFlags
	Email   string   `arg:"" help:"E-mail address; only a name to sign in with."`
	Role    string   `help:"viewer, analyst, editor or admin." enum:"viewer,analyst,editor,admin" default:"viewer"`
	Project []string `help:"Project the role is in; may be given several times. Without, it is on the whole server." placeholder:"NAME"`
	JSON    bool     `name:"json" help:"Print JSON."`
}

// Run adds a user.
func (c *userAddCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"email": c.Email, "grants": grantsOf(c.Role, c.Project)})
	if err != nil {
		return err
	}
	var link madeLink
	if _, err := client.json(cli.Ctx, ask{method: http.MethodPost, path: "/users", body: body}, &link); err != nil {
		return err
	}
	return link.print(cli, client, c.JSON)
}

// grantsOf is one role in some projects, or on the whole server without any.
func grantsOf(role string, projects []string) auth.Grants {
	if len(projects) == 0 {
		return auth.Grants{Server: auth.Role(role)}
	}
	grants := auth.Grants{Projects: map[string]auth.Role{}}
	for _, project := range projects {
		grants.Projects[project] = auth.Role(role)
	}
	return grants
}

type userRoleCmd struct {
	serverFlags
	Email   string            `arg:"" help:"E-mail address of the user."`
	Role    string            `help:"Role on the whole server: viewer, analyst, editor or admin." enum:",viewer,analyst,editor,admin" default:""`
	Project map[string]string `help:"Role in a project: --project shop=editor; may be given several times." placeholder:"NAME=ROLE"`
	JSON    bool              `name:"json" help:"Print the server's answer as JSON."`
}

// Run replaces all roles of a user by those given.
func (c *userRoleCmd) Run(cli *cliContext) error {
	grants := auth.Grants{Server: auth.Role(c.Role), Projects: map[string]auth.Role{}}
	for project, role := range c.Project {
		grants.Projects[project] = auth.Role(role)
	}
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	body, err := json.Marshal(grants)
	if err != nil {
		return err
	}
	var user auth.User
	if _, err := client.json(cli.Ctx, ask{method: http.MethodPut, path: "/users/" + url.PathEscape(c.Email), body: body}, &user); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(cli.Stdout, user)
	}
	_, err = fmt.Fprintf(cli.Stdout, "%s: %s\n", user.Email, user.Grants)
	return err
}

type userSignOutCmd struct {
	serverFlags
	Email string `arg:"" help:"E-mail address of the user."`
}

// Run ends the sessions.
func (c *userSignOutCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	var answer struct{ Ended int }
	if _, err := client.json(cli.Ctx, ask{method: http.MethodDelete, path: "/users/" + url.PathEscape(c.Email) + "/sessions"}, &answer); err != nil {
		return err
	}
	fmt.Fprintf(cli.Stderr, "sessions ended: %d\n", answer.Ended)
	return nil
}

type userListCmd struct {
	serverFlags
	JSON bool `name:"json" help:"Print the server's answer as JSON."`
}

// Run prints a line for each user.
func (c *userListCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if _, err := client.json(cli.Ctx, ask{path: "/users"}, &answer); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(cli.Stdout, answer)
	}
	var users struct{ Items []auth.User }
	if err := json.Unmarshal(answer, &users); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	for _, user := range users.Items {
		note := ""
		if user.SingleSignOn {
			note = "single sign-on"
		} else if !user.HasPassword {
			note = "no password yet"
		}
		fmt.Fprintf(cli.Stdout, "%-32s %-32s %s\n", user.Email, user.Grants, note)
	}
	return nil
}

type userResetCmd struct {
	serverFlags
	Email string `arg:"" help:"E-mail address of the user."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Run prints a link. The password in use stays until the link is followed.
func (c *userResetCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	var link madeLink
	if _, err := client.json(cli.Ctx, ask{method: http.MethodPost, path: "/users/" + url.PathEscape(c.Email) + "/reset"}, &link); err != nil {
		return err
	}
	return link.print(cli, client, c.JSON)
}

type userRemoveCmd struct {
	serverFlags
	Email string `arg:"" help:"E-mail address of the user."`
}

// Run removes a user.
func (c *userRemoveCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	var removed struct{ Removed string }
	if _, err := client.json(cli.Ctx, ask{method: http.MethodDelete, path: "/users/" + url.PathEscape(c.Email)}, &removed); err != nil {
		return err
	}
	fmt.Fprintf(cli.Stderr, "%s is removed\n", removed.Removed)
	return nil
}
